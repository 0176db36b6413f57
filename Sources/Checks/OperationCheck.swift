import DriftGPU
import Foundation

/// How far a check of an operation goes.
public enum CheckDepth: Sendable {
    /// Values, gradients, writes outside the tensors, and the same bits from a second run.
    case full
    /// Values of small cases and writes outside the tensors: for devices that interpret every instruction.
    case values
}

/// A case in a graph of its own, with the gradients that are checked.
package struct CaseGraph {
    package let graph: Graph
    let inputs: [Tensor]
    let outputs: [Tensor]
    /// The inputs, by position, whose gradient is checked.
    let targets: [Int]
    /// The gradient of sum(output * seed) with respect to each target; nil where there is none.
    let gradients: [Tensor?]
    let seeds: [(output: Int, tensor: Tensor)]
}

extension OperationCase {
    /// What `check` runs.
    package func graph() throws -> CaseGraph {
        let graph = Graph()
        let tensors = try tensors(in: graph)
        let outputs = try build(graph, tensors)
        outputs.forEach(graph.output)
        let targets = inputs.indices.filter { inputs[$0].isDifferentiable && tensors[$0].type.element == .float32 }
        let through = targets.isEmpty ? [] : gradientOutputs ?? Array(outputs.indices)
        let seeds = try through.map { index in (output: index, tensor: try graph.input("seed\(index)", outputs[index].shape)) }
        let gradients = try targets.isEmpty
            ? [] : graph.gradients(of: seeds.map { (outputs[$0.output], $0.tensor) }, withRespectTo: targets.map { tensors[$0] })
        gradients.compactMap { $0 }.forEach(graph.output)
        return CaseGraph(graph: graph, inputs: tensors, outputs: outputs, targets: targets, gradients: gradients, seeds: seeds)
    }

    /// Most input elements of a case that is checked at depth `.values`: what a device with an interpreter does in a second
    /// or so.
    static let mostElementsOfValues = 4096

    /// What the products of a schedule on tensor cores may be off by, in units of the largest value. Each of a product's two inputs is
    /// rounded to half a unit of its last place, and attention multiplies what a product gave once more.
    static func rounding(of schedule: Schedule, _ precision: Precision) -> Double {
        let isRounded = schedule.steps.flatMap(\.commands).contains { command in
            if case .kernel(let launch) = command { launch.family.contains("mma") } else { false }
        }
        return isRounded ? 4 * exp2(-Double(precision.significantBits)) : 0
    }

    /// Runs the case between sentinels and compares every output with `reference`, and the gradient of
    /// sum(output * random weights) with central differences of `reference`. At depth `.values` a large case is skipped, which
    /// the report counts.
    public func check(on device: Device, depth: CheckDepth = .full) throws -> CheckReport {
        var report = CheckReport()
        if depth == .values, inputs.reduce(0, { $0 + $1.count }) > Self.mostElementsOfValues {
            report.skip()
            return report
        }
        var random = random
        let planned = try graph()
        let (tensors, outputs, targets) = (planned.inputs, planned.outputs, planned.targets)
        let values = values(&random)
        let expected = reference(values)
        guard expected.count == outputs.count else {
            report.fail("reference gives \(expected.count) outputs, the operation \(outputs.count)")
            return report
        }
        let weights = expected.map { output in output.map { _ in Double(Float(random.normal())) } }

        var options = Schedule.Options()
        options.guardBytes = 256
        let schedule = try Schedule(planned.graph, traits: device.traits, gemm: device.gemm, options: options)
        let rounding = Self.rounding(of: schedule, device.precision)
        let executor = try Executor(schedule, memory: DeviceMemory(device, guardBytes: 256))
        try write(values, to: tensors, of: executor)
        for (index, seed) in planned.seeds {
            try executor.memory.write(weights[index].map { Float($0) }, to: Storage("seed\(index)", count: seed.count))
        }
        try executor.run()

        for (index, output) in outputs.enumerated() {
            let got =
                output.type.element == .int32
                ? try executor.read(output, as: Int32.self).map(Double.init) : try executor.read(output).map { Double($0) }
            let scale = expected[index].reduce(1e-12) { max($0, abs($1)) }
            report.compare(got, expected[index], allowed: (tolerance + rounding) * scale, "output \(index)")
        }
        for (position, target) in targets.enumerated() where depth == .full {
            guard let gradient = planned.gradients[position] else {
                report.fail("no gradient for input \(target)")
                continue
            }
            let got = try executor.read(gradient).map { Double($0) }
            report.expect(got.allSatisfy(\.isFinite), "gradient of input \(target): not all of its values are finite")
            let count = values[target].count
            // Every element of a small input, a sample of a large one.
            let elements = count <= 48 ? Array(0..<count) : (0..<48).map { _ in Int(random.next() % UInt64(count)) }
            let numeric = elements.map { element in
                func objective(_ offset: Double) -> Double {
                    var moved = values
                    moved[target][element] += offset
                    let result = reference(moved)
                    return planned.seeds.reduce(0) { sum, seed in
                        sum + zip(result[seed.output], weights[seed.output]).reduce(0) { $0 + $1.0 * $1.1 }
                    }
                }
                return (objective(step) - objective(-step)) / (2 * step)
            }
            let scale = (got + numeric).reduce(1e-12) { max($0, abs($1)) }
            report.compare(
                elements.map { got[$0] }, numeric, allowed: (gradientTolerance + rounding) * scale,
                "gradient of input \(target)")
        }
        let damage = try executor.damage()
        report.expect(damage.isEmpty, "written outside the tensors: \(damage.joined(separator: ", "))")

        if depth == .values { return report }
        let results = outputs + planned.gradients.compactMap { $0 }
        let first = try results.map { try executor.read($0).map(\.bitPattern) }
        try executor.run()
        let second = try results.map { try executor.read($0).map(\.bitPattern) }
        report.expect(first == second, "two runs differ")
        return report
    }
}
