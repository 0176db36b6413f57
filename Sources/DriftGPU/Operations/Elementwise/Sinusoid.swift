import Foundation

/// Numbers as cosines and sines of them. Inputs: t [n], frequencies [2, F / 2] in turns, in two parts. Output [n, F].
struct Sinusoid: Operation {
    var name: String { "sinusoid" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        guard inputs[0].rank == 1, inputs[1].rank == 2, inputs[1].shape[0] == 2 else {
            throw GraphError("sinusoid: numbers \(inputs[0]) and frequencies \(inputs[1]); [n] and [2, F / 2] are needed")
        }
        return [TensorType([inputs[0].count, 2 * inputs[1].columns])]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (rows, half) = (context.inputs[0].count, context.inputs[1].columns)
        return [
            context.runLaunch(
                "sinusoid_forward", family: name, rows: rows, width: half,
                arguments: [.input(0), .input(1), .output(0), .int(rows), .int(half)],
                traffic: Traffic(bytes: 8 * rows * half, flops: 40 * rows * half))
        ]
    }

    /// exp(-ln(longest) i / half) / (2 pi) in two parts that add up to it: the first of 12 bits, whose product with a whole
    /// number below 4096 a float holds.
    static func frequencies(_ half: Int, longest: Double) -> [Float] {
        let turns = (0..<half).map { exp(-log(longest) * Double($0) / Double(half)) / (2 * .pi) }
        let coarse = turns.map { Float(bitPattern: Float($0).bitPattern & 0xFFFF_F000) }
        return coarse + zip(turns, coarse).map { Float($0 - Double($1)) }
    }
}

extension Graph {
    /// cos(t f_i), then sin(t f_i), f_i = exp(-ln(1e4) i / (F / 2)) for i < F / 2: t [n] -> [n, F], F = `width` an even number.
    /// The angles are exact to rounding of the result for whole t below 4096. No gradient.
    public func sinusoid(_ t: Tensor, width: Int) throws -> Tensor {
        guard width > 0, width.isMultiple(of: 2) else { throw GraphError("sinusoid: \(width) numbers; take an even number") }
        let frequencies = try constant("sinusoid \(width)", Sinusoid.frequencies(width / 2, longest: 1e4), [2, width / 2])
        return try apply(Sinusoid(), t, frequencies)[0]
    }
}
