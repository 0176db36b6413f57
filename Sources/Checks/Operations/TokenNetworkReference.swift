import DriftGPU
import Foundation

/// MAR's SimpleMLPAdaLN in double precision, and its weights as inputs of cases.
struct TokenNetworkReference: Sendable {
    let width: Int
    let depth: Int
    let outputs: Int
    /// Values of a row in front of the input layer; nil: there is none.
    var channels: Int?

    var shape: TokenNetworkShape { TokenNetworkShape(width: width, depth: depth, outputs: outputs) }

    /// Weight and bias of each layer: of a block LayerNorm, modulation, first and second; then the last modulation, the last layer and
    /// the input layer.
    var inputs: [OperationCase.Input] {
        func layer(_ rows: Int, _ columns: Int) -> [OperationCase.Input] {
            [
                .init(shape: [rows, columns], values: .normal(0.7 / Double(columns).squareRoot()), isDifferentiable: false),
                .init(shape: [rows], values: .normal(0.3), isDifferentiable: false),
            ]
        }
        let norm: [OperationCase.Input] = [
            .init(shape: [width], values: .uniform(0.5, 1.5), isDifferentiable: false),
            .init(shape: [width], values: .normal(0.3), isDifferentiable: false),
        ]
        let block = norm + layer(3 * width, width) + layer(width, width) + layer(width, width)
        return Array(repeating: block, count: depth).flatMap { $0 } + layer(2 * width, width) + layer(outputs, width)
            + (channels.map { layer(width, $0) } ?? [])
    }

    /// `inputs` as tensors, packed.
    func packed(_ graph: Graph, _ tensors: ArraySlice<Tensor>) throws -> Tensor {
        let layers = stride(from: tensors.startIndex, to: tensors.endIndex, by: 2).map {
            TokenNetworkWeights.Layer(weight: tensors[$0], bias: tensors[$0 + 1])
        }
        let blocks = (0..<depth).map { block in
            let part = Array(layers[(4 * block)..<(4 * block + 4)])
            return TokenNetworkWeights.Block(norm: part[0], modulation: part[1], first: part[2], second: part[3])
        }
        return try graph.tokenWeights(
            TokenNetworkWeights(
                blocks: blocks, modulation: layers[4 * depth], last: layers[4 * depth + 1],
                input: channels == nil ? nil : layers[4 * depth + 2]))
    }

    /// One row through a layer of `outputs` outputs.
    static func linear(_ x: [Double], _ weight: [Double], _ bias: [Double]) -> [Double] {
        bias.indices.map { row in bias[row] + x.indices.reduce(0) { $0 + x[$1] * weight[row * x.count + $1] } }
    }

    private static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }

    private func normalized(_ x: [Double]) -> [Double] {
        let mean = x.reduce(0, +) / Double(width)
        let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
        return x.map { ($0 - mean) / (variance + 1e-6).squareRoot() }
    }

    /// One row through the network; `weights` are the values of `inputs`.
    func row(_ x: [Double], condition: [Double], weights: ArraySlice<[Double]>, temperature: Double) -> [Double] {
        let weights = Array(weights)
        let active = condition.map(Self.silu)
        var x = x
        for block in 0..<depth {
            let own = Array(weights[(8 * block)..<(8 * block + 8)])
            let m = Self.linear(active, own[2], own[3])
            let h = normalized(x).enumerated().map { i, value in
                (value * own[0][i] + own[1][i]) * (1 + m[width + i]) + temperature * m[i]
            }
            let made = Self.linear(Self.linear(h, own[4], own[5]).map(Self.silu), own[6], own[7])
            x = x.indices.map { x[$0] + m[2 * width + $0] * made[$0] }
        }
        let end = Array(weights[(8 * depth)...])
        let m = Self.linear(active, end[0], end[1])
        return Self.linear(normalized(x).enumerated().map { i, value in value * (1 + m[width + i]) + m[i] }, end[2], end[3])
    }
}
