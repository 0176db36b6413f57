import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

private let reference = ProcessInfo.processInfo.environment["DRIFTGPU_TEST_REFERENCE"].flatMap { $0.isEmpty ? nil : $0 }

/// Training on the device under test against training on another driver, which DRIFTGPU_TEST_REFERENCE names: the same run, the
/// same random numbers, another compiler.
@Suite(.serialized, .enabled(if: reference != nil)) struct DriverAgreementTests {
    private static let steps = 50

    /// How far two runs may be apart. Rounding differs between compilers (contraction, the order within a sum). AdamW divides each
    /// gradient by its own size, so it makes a step of full size of a gradient that is nothing but rounding: no bound holds for
    /// single parameters. The length of the difference of all parameters over the length of the way that they have gone bears
    /// that. Two compilers are about 0.0002 apart after 50 steps, and 1e-6 in the metrics; the fault planted below is 0.004 and
    /// 0.002.
    private static let allowed = (parameters: 0.002, metrics: 1e-4)

    /// The digits' model with one block of each kind and eight images a step: what a device of the host's cores does in
    /// seconds. Every kernel of the preset's step but those of deeper banks takes part.
    private func configuration() -> Configuration {
        var small = Configuration()
        small.stage.label?.encoderDepth = 1
        small.head.depth = 1
        small.stage.label?.draftDepth = 1
        (small.run.labelsPerStep, small.run.samplesPerLabel, small.loss.positives) = (2, 4, 8)
        (small.run.steps, small.optimizer.warmupSteps, small.optimizer.learningRate) = (Self.steps, 5, 1e-3)
        (small.run.logEvery, small.run.sampleEvery, small.run.checkpointEvery) = (1, 0, 0)
        return small
    }

    private struct Run {
        let start: [Float]
        let end: [Float]
        /// Of each step, by name.
        let metrics: [[(name: String, value: Double)]]
    }

    private func train(on choice: String, kernels: String? = nil) throws -> Run {
        try TestDevice.alone {
            var options = TestDevice.options
            (options.team, options.gemm, options.kernels) = ("gpu", "native", kernels)
            let device = try Device(DeviceDescription.choose(choice), options: options)
            let configuration = configuration()
            let state = ModelState(try configuration.makeGenerator(), memory: DeviceMemory(device))
            try state.initialize(seed: configuration.run.seed)
            let trainer = try Trainer(configuration, state: state, data: OptDigits.split().training)
            let start = try trainer.snapshot()["parameters"] ?? []
            var metrics: [[(name: String, value: Double)]] = []
            for _ in 0..<Self.steps {
                try trainer.advance()
                metrics.append(try trainer.metrics().map { (name: $0.0, value: $0.1) })
            }
            return Run(start: start, end: try trainer.snapshot()["parameters"] ?? [], metrics: metrics)
        }
    }

    /// How far two runs are apart: in parameters, over the way they went; in the metric that differs most, as the root mean
    /// square over the steps over that of the metric itself.
    private func distance(_ a: Run, _ b: Run) -> (parameters: Double, metrics: Double, worst: String) {
        func length(_ a: [Float], _ b: [Float]) -> Double {
            zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
        }
        var worst = (0.0, "none")
        // The second phase has fewer losses: a metric is compared over the steps that tell it.
        for name in Set(a.metrics.flatMap { $0.map(\.name) }).sorted() {
            func values(_ run: Run) -> [Double] { run.metrics.map { $0.first { $0.name == name }?.value ?? 0 } }
            let pairs = zip(values(a), values(b))
            let size = pairs.reduce(0) { $0 + $1.0 * $1.0 }.squareRoot()
            let difference = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
            let share = difference == 0 ? 0 : difference / max(size, 1e-12)
            if !(share <= worst.0) { worst = (share, name) }
        }
        return (length(a.end, b.end) / length(b.end, b.start), worst.0, worst.1)
    }

    @Test("50 steps agree with those of the reference driver, and a wrong constant in one kernel is seen")
    func training() throws {
        let expected = try train(on: #require(reference))
        #expect(expected.metrics.count == Self.steps && expected.metrics[0].count > 3)
        let tested = try train(on: TestDevice.choice)
        #expect(tested.metrics.map { $0.map(\.name) } == expected.metrics.map { $0.map(\.name) })
        let other = distance(tested, expected)
        print("\(TestDevice.choice): parameters \(other.parameters), metrics \(other.metrics) (\(other.worst))")
        #expect(other.parameters <= Self.allowed.parameters)
        #expect(other.metrics <= Self.allowed.metrics, "\(other.worst)")

        // A coefficient of GELU, off by a hundredth.
        let fault = try FaultyKernels.with("common/math.cl", {
            $0.replacingOccurrences(of: "833440.56f", with: "825106.2f")
        }) { try distance(train(on: #require(reference), kernels: $0), expected) }
        print("a wrong constant: parameters \(fault.parameters), metrics \(fault.metrics) (\(fault.worst))")
        #expect(fault.parameters > Self.allowed.parameters)
        #expect(fault.metrics > Self.allowed.metrics)
    }
}
