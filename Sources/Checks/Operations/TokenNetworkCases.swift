import DriftGPU

/// Networks of widths that end within a vector and of few and many rows, which take tiles of different sizes.
enum TokenNetworkCases: OperationCases {
    static let families = [
        OperationFamily("token_network", networks, untimed: "a part of a drawing; bench sample times it with the rest")
    ]

    private static let networks = [
        make(1, width: 32, depth: 1, outputs: 4), make(2, width: 37, depth: 2, outputs: 5), make(5, width: 5, depth: 1, outputs: 33),
        make(13, width: 48, depth: 2, outputs: 64, temperature: 0.7), make(70, width: 96, depth: 1, outputs: 17),
        make(9, width: 256, depth: 1, outputs: 3), make(3, width: 1, depth: 1, outputs: 1),
    ]

    private static func make(_ rows: Int, width: Int, depth: Int, outputs: Int, temperature: Float = 1) -> OperationCase {
        let network = TokenNetworkReference(width: width, depth: depth, outputs: outputs)
        let row = OperationCase.Input(shape: [rows, width], isDifferentiable: false)
        return OperationCase(
            name: "token_network \(rows) x \(width), depth \(depth), to \(outputs)", inputs: [row, row] + network.inputs,
            build: { graph, x in
                [
                    try graph.tokenNetwork(
                        x[0], condition: x[1], weights: network.packed(graph, x.dropFirst(2)), shape: network.shape,
                        temperature: temperature)
                ]
            },
            reference: { x in
                func row(_ values: [Double], _ index: Int) -> [Double] { Array(values[(index * width)..<((index + 1) * width)]) }
                return [
                    (0..<rows).flatMap {
                        network.row(
                            row(x[0], $0), condition: row(x[1], $0), weights: x.dropFirst(2), temperature: Double(temperature))
                    }
                ]
            }, tolerance: 3e-6)
    }
}
