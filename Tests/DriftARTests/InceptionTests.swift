import DriftGPU
import Foundation
import TestSupport
import Testing
@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

/// The FID's InceptionV3 with random weights, a sixteenth as wide, against PyTorch (Tests/Fixtures/inception).
@Suite struct InceptionTests {
    private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/inception/inception.safetensors").path

    private func images(_ file: SafeTensorsFile) throws -> Dataset {
        try Dataset(images: file.floats("images"), shape: file.header("images").shape, labels: [0, 0], classNames: ["0"])
    }

    @Test(arguments: [TeamShape.cpu16, .gpu]) func agreesWithPyTorch(_ shape: TeamShape) throws {
        let file = try SafeTensorsFile(Self.path)
        let images = try images(file)
        try TestDevice.with(shape) { device in
            // The GPU shape interprets work-items one by one here: a single image says enough.
            let set = shape == .gpu ? try images.subset([1]) : images
            let answer = try InceptionFeatures(Self.path, on: device, batch: set.count).features(of: set)
            func compare(_ got: [Float], _ name: String) throws {
                let expected = try file.floats(name).suffix(got.count)
                let scale = expected.map(abs).max() ?? 1
                for (a, b) in zip(got, expected) { #expect(abs(a - b) <= 2e-5 * scale, "\(name)") }
            }
            #expect(answer.features.count == set.count && answer.features.width == 128)
            try compare(answer.features.values, "features")
            try compare(try #require(answer.logits), "logits")
        }
    }

    /// Sizes up, down and equal, against the formula of F.interpolate (bilinear, align_corners false).
    @Test func resizes() {
        let image: [Float] = [0, 1, 2, 3, 4, 5]
        #expect(InceptionFeatures.resized(image, channels: 1, height: 2, width: 3, side: 1) == [2.5, 2.5, 2.5])
        let same: [Float] = [1, 2, 3, 4]
        #expect(InceptionFeatures.resized(same, channels: 1, height: 2, width: 2, side: 2) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
        let wide = InceptionFeatures.resized(same, channels: 1, height: 2, width: 2, side: 4)
        #expect(stride(from: 0, to: 12, by: 3).map { wide[$0] } == [1, 1.25, 1.75, 2])
        let colours: [Float] = [1, 2, 3]
        #expect(InceptionFeatures.resized(colours, channels: 3, height: 1, width: 1, side: 1) == [1, 2, 3])
    }

    @Test func namesWhatIsMissing() throws {
        let folder = try TestFolder()
        let whole = try SafeTensors.read(Self.path).tensors
        let path = folder.file("cut.safetensors")
        let one = try NamedTensor(shape: [1, 1, 1, 1], floats: [1])
        let flat = try NamedTensor(shape: [4], floats: [1, 1, 1, 1])
        let narrow = try NamedTensor(shape: [2, 3], floats: [1, 1, 1, 1, 1, 1])
        let changes: [(name: String, tensor: NamedTensor?, says: String)] = [
            ("fc.weight", nil, "1 of 95 weights are missing: fc.weight"),
            ("Mixed_5b.branch1x1.bn.weight", nil, "Mixed_5b.branch1x1.bn.weight"),
            ("Mixed_7c.branch1x1.conv.weight", one, "Mixed_7c.branch1x1.bn.weight"),
            ("Conv2d_1a_3x3.conv.weight", flat, "Conv2d_1a_3x3.conv.weight"),
            ("fc.weight", narrow, "do not fit each other"),
        ]
        let data = try Dataset(images: [0, 0, 0], shape: [1, 3, 1, 1], labels: [0], classNames: ["0"])
        try TestDevice.with(.cpu16) { device in
            for change in changes {
                var tensors = whole
                tensors[change.name] = change.tensor
                try SafeTensors.write(tensors, to: path)
                let text = errorText { _ = try InceptionFeatures(path, on: device, batch: 1).features(of: data) }
                #expect(text?.contains(change.says) == true && text?.contains("cut.safetensors") == true, "\(text ?? "")")
            }
        }
        let four = try Dataset(images: [Float](repeating: 0, count: 4), shape: [1, 4, 1, 1], labels: [0], classNames: ["0"])
        try TestDevice.with(.cpu16) { device in
            let space = try InceptionFeatures(Self.path, on: device)
            #expect(throws: DataError.self) { _ = try space.features(of: four) }
        }
    }
}
