import DriftGPU
import TestSupport
import Testing
@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite struct ClassifierTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// Two classes that differ in where the light is.
    private func halves(_ count: Int, height: Int = 4, width: Int = 6, channels: Int = 1, seed: UInt64) throws -> Dataset {
        var random = TestNumbers(seed)
        var images: [Float] = []
        for image in 0..<count {
            for pixel in 0..<(channels * height * width) {
                let isLeft = pixel % width < width / 2
                let light: Float = isLeft == (image % 2 == 0) ? 0.5 : -0.5
                images.append(light + random.float() / 2)
            }
        }
        return try Dataset(
            images: images, shape: [count, channels, height, width], labels: (0..<count).map { Int32($0 % 2) },
            classNames: ["left", "right"])
    }

    private var quick: ClassifierTraining {
        var settings = ClassifierTraining()
        (settings.steps, settings.batch) = (30, 16)
        return settings
    }

    @Test func learnsAndIsReadBack() throws {
        let (training, heldOut) = (try halves(64, seed: 1), try halves(30, seed: 2))
        try TestDevice.with(.cpu16) { device in
            var steps: [Int] = []
            let fitted = try quick.fit(training: training, heldOut: heldOut, on: device) { step, _ in steps.append(step) }
            #expect(steps == Array(1...30))
            #expect(fitted.accuracy == 1)
            #expect(try quick.fit(training: training, heldOut: heldOut, on: device).parameters == fitted.parameters)
            let own = try fitted.answers(to: training, on: device).features
            #expect(abs(own.reduce(0) { $0 + $1 * $1 } / Float(own.count) - 1) < 1e-4)

            let path = folder.file("classifier.safetensors")
            try fitted.write(to: path)
            let read = try FittedClassifier(path)
            #expect(read.classNames == ["left", "right"] && read.accuracy == 1 && read.parameters == fitted.parameters)
            let space = ClassifierFeatures(read, on: device)
            let answer = try space.features(of: heldOut)
            #expect(answer.features.count == 30 && answer.features.width == 128)
            #expect(FittedClassifier.correctShare(logits: try #require(answer.logits), labels: heldOut.labels) == 1)
            // Batches do not show.
            let parts = try read.answers(to: heldOut, on: device, batch: 7)
            #expect(zip(parts.features, answer.features.values).allSatisfy { abs($0 - $1) < 1e-5 })

            let evaluation = try Evaluation(generated: training, training: training, heldOut: heldOut, space: space)
            #expect(evaluation.columns.map { $0.features?.accuracy } == [1, 1])
            #expect(try #require(evaluation.columns[0].features?.frechet) < 1e-6)
            #expect(try #require(evaluation.columns[0].features?.inceptionScore?.mean) > 1.5)

            let other = try Dataset(
                images: heldOut.images, shape: heldOut.shape, labels: heldOut.labels, classNames: ["up", "down"])
            #expect(errorText { _ = try space.features(of: other) }?.contains("--fit-classifier") == true)
            let wide = try halves(4, width: 8, seed: 3)
            #expect(errorText { _ = try space.features(of: wide) }?.contains("1 x 4 x 6") == true)
        }
    }

    @Test func patchesSuitTheImages() throws {
        func patch(_ height: Int, _ width: Int) throws -> Int {
            try ImageClassifier.Shape(for: halves(2, height: height, width: width, seed: 1)).patch
        }
        #expect(try patch(8, 8) == 2)
        #expect(try patch(28, 28) == 4)
        #expect(try patch(5, 7) == 1)
        #expect(throws: DataError.self) { _ = try patch(29, 31) }
        func stride(_ height: Int, _ width: Int) throws -> Int {
            let shape = try ImageClassifier.Shape(for: halves(2, height: height, width: width, channels: 3, seed: 1))
            #expect(shape.isOfConvolutions)
            return shape.patch
        }
        #expect(try [stride(32, 32), stride(64, 48), stride(101, 103), stride(300, 40)] == [1, 2, 4, 8])
    }

    @Test("photographs are classified by convolutions, of any size, and read back")
    func photographs() throws {
        let (training, heldOut) = (try halves(32, height: 33, width: 35, channels: 3, seed: 1), try halves(12, height: 33, width: 35, channels: 3, seed: 2))
        try TestDevice.with(.cpu16) { device in
            var settings = ClassifierTraining()
            (settings.steps, settings.batch) = (20, 8)
            // Moved and zoomed as photographs are; mirrored, the halves would be each other.
            let fitted = try settings.fit(training: training, heldOut: heldOut, on: device)
            #expect(fitted.accuracy == 1)
            let path = folder.file("classifier.safetensors")
            try fitted.write(to: path)
            let read = try FittedClassifier(path)
            #expect(read.classifier.shape == fitted.classifier.shape && read.parameters == fitted.parameters)
            #expect(try read.answers(to: heldOut, on: device).features.count == 12 * 128)
        }
    }

    /// Answers, loss and every gradient of a classifier by convolutions against PyTorch in double precision.
    @Test(arguments: TestDevice.teams) func agreesWithPyTorch(_ team: TeamShape) throws {
        var shape = ImageClassifier.Shape(channels: 3, height: 19, width: 14, patch: 2, classes: 3)
        (shape.levels, shape.embed, shape.features) = (2, 8, 6)
        let classifier = try ImageClassifier(shape)
        let fixture = try PyTorchGradients("classifier")
        try TestDevice.with(team) { device in
            let memory = DeviceMemory(device)
            try fixture.load(classifier.layout, into: memory)
            let graph = Graph()
            let scope = ParameterScope(graph, classifier.layout)
            let images = try graph.input("images", [4, 3, 19, 14])
            let (features, logits) = try classifier(images, scope)
            let labels = try graph.constant("labels", [Int32]([2, 0, 1, 2]), [4])
            let loss = try graph.crossEntropy(logits, labels: labels)
            let gradients = try graph.gradients(of: loss, withRespectTo: classifier.layout.entries.map { try scope.parameter($0.name) })
            ([features, logits, loss] + gradients.compactMap { $0 }).forEach(graph.output)
            let executor = try memory.executor(graph)
            try executor.write(fixture.file.floats("images", shape: images.shape), to: images)
            try executor.run()
            try fixture.compare(executor.read(features), "features", [4, 6])
            try fixture.compare(executor.read(logits), "logits", [4, 3])
            try fixture.compare(executor.read(loss), "loss", [1])
            try fixture.compare(gradients, of: classifier.layout, executor)
        }
    }

    @Test("images are moved by whole pixels, mirrored where that is asked for, and zoomed about their middle")
    func changes() throws {
        // Each value says where it lies.
        let (height, width) = (28, 14)
        let values = (0..<(height * width)).map { Float($0 / width) + Float($0 % width) / 100 }
        let data = try Dataset(images: values, shape: [1, 1, height, width], labels: [0], classNames: ["a"])
        let many = [Int](repeating: 0, count: 200)
        func changed(mirrors: Bool, zooms: Bool) -> [[Float]] {
            let all = ImageChanges(height: height, width: width, mirrors: mirrors, zooms: zooms)(many, of: data, Philox(seed: 3), step: 5)
            return (0..<many.count).map { Array(all[($0 * height * width)..<(($0 + 1) * height * width)]) }
        }
        // The value in the middle of a row, less that on its left.
        func slope(_ image: [Float]) -> Float { image[14 * width + 7] - image[14 * width + 6] }
        let moved = changed(mirrors: false, zooms: false)
        #expect(moved.allSatisfy { abs(slope($0) - 0.01) < 1e-5 })
        #expect(Set(moved.map { ($0[14 * width + 7] * 100).rounded() }).count == 15)
        let mirrored = changed(mirrors: true, zooms: false)
        let turned = mirrored.count { slope($0) < 0 }
        #expect(mirrored.allSatisfy { abs(abs(slope($0)) - 0.01) < 1e-5 } && turned > 70 && turned < 130)
        let zoomed = changed(mirrors: false, zooms: true).map(slope)
        #expect(zoomed.allSatisfy { $0 > 0.0079 && $0 < 0.0126 })
        #expect(Set(zoomed.map { ($0 * 1e5).rounded() }).count > 50)
    }

    @Test func refusesDamagedFiles() throws {
        let shape = try ImageClassifier.Shape(for: halves(2, seed: 1))
        let classifier = try ImageClassifier(shape)
        let values = try classifier.layout.initialValues(of: classifier.declarations, seed: 1)
        let path = folder.file("a.safetensors")
        try FittedClassifier(classifier, classNames: ["a", "b"], accuracy: 0.5, scale: 1, parameters: values).write(to: path)
        let bytes = try Files.read(path)
        for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 97)) {
            try folder.write(Array(bytes[..<length]), to: "cut")
            #expect(throws: DataError.self) { _ = try FittedClassifier(folder.file("cut")) }
        }
        let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
        var random = TestNumbers(9)
        for _ in 0..<300 {
            var damaged = bytes
            damaged[random.below(header)] ^= 1 << UInt8(random.below(8))
            try folder.write(damaged, to: "flipped")
            do {
                _ = try FittedClassifier(folder.file("flipped"))
            } catch {
                #expect(error is DataError, "\(error)")
            }
        }
        // Sizes the file has no weights for.
        let tensors = try SafeTensorsFile(path)
        let text = try #require(tensors.metadata["driftgpu.classifier"])
        for (from, to) in [
            ("\"embed\":64", "\"embed\":65536"), ("\"depth\":2", "\"depth\":60000"), ("\"patch\":2", "\"patch\":0"), ("\"levels\":0", "\"levels\":2"), ("\"levels\":0", "\"levels\":-1"),
            ("\"height\":4", "\"height\":-4"), ("\"width\":6", "\"width\":9223372036854775807"), ("\"format\":1", "\"format\":2"),
            ("[\"a\",\"b\"]", "[]"), ("\"heads\":4", "\"heads\":5"), ("\"accuracy\":0.5", "\"accuracy\":7"), ("\"scale\":1", "\"scale\":0"),
        ] {
            #expect(text.contains(from))
            try SafeTensors.write(
                tensors.tensors(), metadata: ["driftgpu.classifier": text.replacingOccurrences(of: from, with: to)],
                to: folder.file("lied"))
            #expect(throws: DataError.self, "\(to)") { _ = try FittedClassifier(folder.file("lied")) }
        }
        try SafeTensors.write(tensors.tensors(), to: folder.file("plain"))
        #expect(errorText { _ = try FittedClassifier(folder.file("plain")) }?.contains("no classifier") == true)
    }

    @Test func answersThatAreNoNumbersAreWrong() {
        #expect(FittedClassifier.correctShare(logits: [1, 2, .nan, 0, 3, 3, 5, .infinity], labels: [1, 1, 0, 1]) == 0.5)
        #expect(FittedClassifier.correctShare(logits: [], labels: []) == 0)
    }

    @Test func needsClasses() throws {
        let one = try halves(4, seed: 1)
        let single = try Dataset(images: one.images, shape: one.shape, labels: [0, 0, 0, 0], classNames: ["only"])
        try TestDevice.with(.cpu16) { device in
            let text = errorText { _ = try quick.fit(training: single, heldOut: single, on: device) }
            #expect(text?.contains("1 classes") == true)
        }
    }
}
