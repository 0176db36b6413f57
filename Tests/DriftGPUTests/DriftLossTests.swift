import Testing

@testable import DriftGPU

@Suite struct DriftLossTests {
    /// The field is a constant of the loss, so it is made from a second copy of the samples (the last input): central
    /// differences then move the samples alone.
    static let cases = DriftReference.cases.map { drift in
        var random = TestRandom(UInt64(drift.width))
        let gen = (0..<(drift.groups * drift.samples * drift.width)).map { _ in Float(random.normal()) }
        var inputs = drift.inputs
        inputs[0].values = .floats(gen)
        inputs.append(inputs[0])
        inputs[0].isDifferentiable = true
        return OperationCase(
            name: "drift loss \(drift.name)", inputs: inputs,
            build: { graph, x in
                let targets = drift.targets(x)
                let (distance, scale) = try graph.pairwiseDistance(x[x.count - 1], to: targets)
                let field = try graph.driftField(
                    x[x.count - 1], targets: targets, distance: distance, scale: scale, affinity: drift.affinity)
                let outputs = try graph.apply(
                    DriftLossOperation(affinity: drift.affinity), x[0], field.force, field.products, scale)
                return [outputs[0], scale, outputs[1]]
            },
            reference: { x in
                var frozen = x
                frozen[0] = x[x.count - 1]
                let result = drift.evaluate(frozen)
                return [[result.loss(x[0])], [result.scale], result.squaredForce]
            }, gradientOutputs: [0])
    }

    @Test(arguments: cases, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }

    /// The builder that users call gives the same as its parts, and its gradient reaches the samples.
    @Test(arguments: TestDevice.shapes) func gradientReachesTheSamples(_ shape: TeamShape) throws {
        let drift = DriftReference(samples: 6, negatives: 2, positives: 5, width: 8)
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let x = try drift.inputs.enumerated().map { try graph.input("x\($0.offset)", $0.element.shape) }
            let result = try graph.driftLoss(x[0], targets: drift.targets(x))
            let gradients = try graph.gradients(of: result.loss, withRespectTo: [x[0], x[1]])
            #expect(gradients[1] == nil)
            let gradient = try #require(gradients[0])
            for tensor in [result.loss, result.scale, result.squaredForce, gradient] { graph.output(tensor) }
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            var random = TestRandom(5)
            let values = x.map { tensor in (0..<tensor.count).map { _ in Float(random.normal()) } }
            for (tensor, list) in zip(x, values) { try executor.write(list, to: tensor) }
            try executor.run()
            let want = drift.evaluate(values.map { $0.map(Double.init) })
            let gen = values[0].map(Double.init)
            #expect(abs(Double(try executor.read(result.loss)[0]) - want.loss(gen)) < 1e-4)
            let got = try executor.read(gradient)
            for index in got.indices {
                let exact = 2 * (gen[index] / want.coordinateUnit - want.goal[index]) / want.coordinateUnit / Double(gen.count)
                #expect(abs(Double(got[index]) - exact) < 1e-6)
            }
        }
    }

    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (gen, scale) = (try graph.input("gen", [2, 3, 4]), try graph.input("scale", [1]))
        let (force, products) = (try graph.input("force", [3, 2, 3, 5]), try graph.input("products", [6, 2, 3]))
        #expect(throws: GraphError.self) {
            try graph.apply(DriftLossOperation(affinity: DriftAffinity()), gen, force, products, scale)
        }
    }
}
