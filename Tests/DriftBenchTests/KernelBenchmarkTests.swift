import Checks
import DriftAR
import TestSupport
import Testing

@testable import DriftBench
@testable import DriftData
@testable import DriftGPU

/// The cases that are timed are the steps of the training schedule; here the same cases are checked.
@Suite struct KernelBenchmarkTests {
    /// A model with every part, in sizes that are no multiple of a vector.
    private static var tiny: Configuration {
        var tiny = BenchmarkSize.digits.configuration
        tiny.network.embed = 20
        tiny.network.heads = 2
        tiny.stage.label?.encoderDepth = 1
        tiny.head.depth = 1
        tiny.stage.label?.draftDepth = 1
        tiny.stage.label?.buffer = 3
        tiny.run.labelsPerStep = 3
        tiny.run.samplesPerLabel = 2
        tiny.loss.positives = 5
        tiny.loss.features = .both
        return tiny
    }

    /// The values of every tensor that a case writes, by the case's name, after one training step.
    private func values(_ shape: TeamShape) throws -> [(name: String, values: [Float])] {
        try TestDevice.with(shape) { device in
            let configuration = Self.tiny
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: 1)
            var options = Schedule.Options()
            options.reuse = false
            let count = configuration.data.classes * configuration.loss.positives
            let size = configuration.data.channels * configuration.data.height * configuration.data.width
            var random = TestRandom(3)
            let data = try Dataset(
                images: (0..<(count * size)).map { _ in Float(random.uniform(-1, 1)) },
                shape: [count, configuration.data.channels, configuration.data.height, configuration.data.width],
                labels: (0..<count).map { Int32($0 / configuration.loss.positives) },
                classNames: (0..<configuration.data.classes).map(String.init))
            let trainer = try Trainer(configuration, state: state, data: data, options: options)
            try trainer.advance()
            return try trainer.executors().flatMap { executor in
                // Outputs are there until another graph runs.
                try executor.run()
                return try KernelBenchmark.distinct(executor.schedule).flatMap { group in
                    try executor.schedule.steps[group.step].node.outputs.filter { $0.type.element == .float32 }
                        .map { (group.name, try executor.read($0)) }
                }
            }
        }
    }

    @Test(.enabled(if: !TestDevice.isSmall), arguments: TestDevice.shapes.filter { $0 != .cpu16 })
    func everyCaseAgreesAcrossShapes(_ shape: TeamShape) throws {
        let (expected, got) = (try values(.cpu16), try values(shape))
        #expect(expected.count == got.count && expected.count > 100)
        for (want, have) in zip(expected, got) {
            #expect(want.name == have.name)
            let scale = want.values.map(abs).max() ?? 0
            let error = zip(want.values, have.values).map { abs($0 - $1) }.max() ?? .infinity
            #expect(error <= 1e-3 * max(scale, 1e-6), "\(want.name): \(error) of \(scale)")
        }
    }

    @Test func everyKernelOfAStepIsACase() throws {
        let schedules = try Trainer.plannedSchedules(
            Self.tiny, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
        var names: [String] = []
        for schedule in schedules {
            let cases = KernelBenchmark.distinct(schedule)
            #expect(cases.reduce(0) { $0 + $1.count } == schedule.steps.filter { !$0.commands.isEmpty }.count)
            func kernels(_ steps: [Int]) -> Set<String> {
                Set(steps.flatMap { schedule.steps[$0].commands }.compactMap { if case .kernel(let launch) = $0 { launch.kernel } else { nil } })
            }
            #expect(kernels(cases.map(\.step)) == kernels(Array(schedule.steps.indices)))
            names += cases.map(\.name)
        }
        for name in ["attention ", "attention_backward ", "layer_norm ", "linear ", "drift_field ", "adamw"] {
            #expect(names.contains { $0.hasPrefix(name) }, "\(name)")
        }
    }

    @Test(.enabled(if: TestDevice.shapes.contains(.cpu16) && !TestDevice.isSmall)) func timesAreReasonable() throws {
        try TestDevice.with(.cpu16) { device in
            let peaks = try Peaks(device)
            #expect(peaks.copyBandwidth > 1e8 && peaks.multiplyAdd > 1e8 && peaks.gemm > 1e7 && peaks.launch > 0)
            var names: [String] = []
            let benchmark = try KernelBenchmark(
                Self.tiny, device: device, peaks: peaks, repetitions: 2, filter: "layer_norm"
            ) { names.append($0.name) }
            #expect(!names.isEmpty && names == benchmark.cases.map(\.name))
            for entry in benchmark.cases {
                #expect(entry.name.contains("layer_norm") && entry.bytes > 0 && entry.flops > 0 && entry.perStep > 0)
                #expect(entry.timing.repetitions == 2 && entry.timing.minimum > 0 && entry.bandwidthShare > 0)
            }
        }
    }

    /// What only the other model launches is timed as well.
    @Test func ditsKernelsAreCases() throws {
        let schedules = try Trainer.plannedSchedules(
            BenchmarkSize.dit.configuration, traits: DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), gemm: NativeGEMM())
        let names = schedules.flatMap(KernelBenchmark.distinct).map(\.name)
        for name in ["query_key", "query_key_backward", "swiglu", "swiglu_backward"] {
            #expect(names.contains { $0.hasPrefix(name + " ") }, "\(name) is not among \(names)")
        }
    }

    /// An operation that is not timed says so beside its cases, so that none becomes slow unseen.
    @Test(arguments: [
        DeviceTraits(teamSize: 1, lanes: 16, computeUnits: 2), DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 2),
    ]) func everyFamilyIsTimedOrSaysWhyNot(_ traits: DeviceTraits) throws {
        func types(_ schedule: Schedule) -> Set<String> {
            Set(KernelBenchmark.distinct(schedule).map { "\(type(of: schedule.steps[$0.step].node.operation))" })
        }
        func types(_ graph: Graph) throws -> Set<String> { types(try Schedule(graph, traits: traits, gemm: NativeGEMM())) }
        var timed: Set<String> = []
        for size in BenchmarkSize.allCases {
            for schedule in try Trainer.plannedSchedules(size.configuration, traits: traits, gemm: NativeGEMM()) {
                timed.formUnion(types(schedule))
            }
        }
        for graph in try Configuration().graphs(of: .autoencoder) { timed.formUnion(try types(graph)) }
        #expect(timed.count > 40)
        for family in OperationFamily.all {
            let run = try family.cases.reduce(into: Set<String>()) { $0.formUnion(try types($1.graph().graph)) }
            let missing = run.subtracting(timed).sorted()
            if let reason = family.untimed {
                #expect(!missing.isEmpty && !reason.isEmpty, "\(family.name) is timed: its reason can go")
            } else {
                #expect(missing.isEmpty, "no size of the benchmark has \(missing) of \(family.name): say why")
            }
        }
    }

    /// Both halves of the autoencoder, at a size that a test has time for.
    @Test(.enabled(if: TestDevice.shapes.contains(.cpu16) && !TestDevice.isSmall)) func autoencodersKernelsAreCases() throws {
        try TestDevice.with(.cpu16) { device in
            let benchmark = try KernelBenchmark(
                autoencoder: 32, device: device, peaks: Peaks(device), repetitions: 1, filter: "_"
            ) { _ in }
            for name in ["group_norm", "convolution_upsample", "attention_wide"] {
                #expect(benchmark.cases.contains { $0.name.hasPrefix(name) }, "\(name) is not among \(benchmark.cases.map(\.name))")
            }
            #expect(benchmark.cases.allSatisfy { $0.timing.median > 0 && $0.bytes > 0 && $0.perStep > 0 })
        }
    }

    /// Few long rows and many labels: what no step of a model has.
    @Test(.enabled(if: !TestDevice.isSmall), arguments: TestDevice.shapes) func rowsAreCases(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let benchmark = try KernelBenchmark(rows: 130, width: 37, device: device, peaks: Peaks(device), repetitions: 1) { _ in }
            #expect(
                Set(benchmark.cases.map { String($0.name.prefix { $0 != " " }) })
                    == [
                        "embedding", "embedding_backward", "slice", "pad", "gather_rows", "scatter_rows", "clear_rows",
                        "random_noise", "select_row", "pixel_rows",
                    ])
            #expect(benchmark.cases.allSatisfy { $0.timing.median > 0 && $0.bytes > 0 })
        }
    }

    @Test(arguments: BenchmarkSize.allCases) func sizesAreValid(_ size: BenchmarkSize) throws {
        try size.configuration.validate()
        #expect(size.configuration.preset == size.rawValue)
    }
}
