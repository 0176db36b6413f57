import DriftGPU
import Foundation

extension ParameterLayout {
    /// The first values of all parameters as one flat buffer, drawn from `seed` as their declarations, which are this
    /// layout's in the same order, say. Where `given` has values for a parameter, it takes those.
    func initialValues(
        of declarations: [ParameterDeclaration], seed: UInt64, given: (Entry) throws -> [Float]? = { _ in nil }
    ) throws -> [Float] {
        let random = Philox(seed: seed)
        var values = [Float](repeating: 0, count: count)
        for (index, declaration) in declarations.enumerated() {
            guard let entry = self[declaration.name] else { continue }
            let range = entry.offset..<(entry.offset + entry.count)
            if let taken = try given(entry) {
                values.replaceSubrange(range, with: taken)
                continue
            }
            switch declaration.initial {
            case .zeros: break
            case .ones: for i in range { values[i] = 1 }
            case .normal(let deviation):
                for (k, i) in range.enumerated() {
                    values[i] = deviation * Float(random.normal(stream: Self.stream, tensor: index, element: k))
                }
            case .glorot, .fanIn:
                let inputs = Float(entry.shape.last ?? 1)
                let bound =
                    declaration.initial == .fanIn
                    ? 1 / inputs.squareRoot() : (6 / (inputs + Float(entry.shape.first ?? 1))).squareRoot()
                for (k, i) in range.enumerated() {
                    values[i] = bound * (2 * Float(random.uniform(stream: Self.stream, tensor: index, element: k)) - 1)
                }
            case .position(let columns):
                let width = entry.shape.last ?? 1
                for (k, i) in range.enumerated() {
                    values[i] = Self.position(token: k / width, columns: columns, feature: k % width, of: width)
                }
            case .copy(let name):
                // Declared earlier, so already there.
                guard let source = self[name], source.count == entry.count else {
                    throw GraphError("parameter \(entry.name): nothing like it is called \(name)")
                }
                for k in 0..<entry.count { values[entry.offset + k] = values[source.offset + k] }
            }
        }
        return values
    }

    private static var stream: UInt32 { 0x2001_0000 }

    /// A value of the table of positions: of either axis the sines of p 10000^(-k / n) for k < n, then the cosines, n a quarter
    /// of the width. What four does not divide stays 0.
    private static func position(token: Int, columns: Int, feature: Int, of width: Int) -> Float {
        let quarter = width / 4
        guard feature < 4 * quarter else { return 0 }
        let place = feature < 2 * quarter ? token / columns : token % columns
        let angle = Double(place) * pow(10000, -Double(feature % quarter) / Double(quarter))
        return Float(feature / quarter % 2 == 0 ? sin(angle) : cos(angle))
    }

    /// All parameters as one flat buffer, from a file that has each under its name and in its shape. Throws a line that names
    /// the first that is missing or has another shape.
    func values(from file: SafeTensorsFile) throws -> [Float] {
        // Grown entry by entry: no more memory is taken than the file has values.
        var values: [Float] = []
        for entry in entries {
            values += [Float](repeating: 0, count: entry.offset - values.count)
            values += try file.floats(entry.name, shape: entry.shape)
        }
        return values + [Float](repeating: 0, count: count - values.count)
    }

    /// The parameters of a flat buffer, by name.
    func tensors(_ values: [Float]) throws -> [String: NamedTensor] {
        try Dictionary(
            uniqueKeysWithValues: entries.map { entry in
                let part = Array(values[entry.offset..<(entry.offset + entry.count)])
                return (entry.name, try NamedTensor(shape: entry.shape, floats: part))
            })
    }
}

extension Philox {
    /// Uniform in [0, 1).
    func uniform(stream: UInt32, tensor: Int, element: Int) -> Double {
        Double(word(stream: stream, tensor: tensor, element: element).0) / 4_294_967_296
    }

    /// Standard normal, by Box and Muller's transform.
    func normal(stream: UInt32, tensor: Int, element: Int) -> Double {
        let (a, b) = word(stream: stream, tensor: tensor, element: element)
        return BoxMuller.normal(a, b)
    }

    private func word(stream: UInt32, tensor: Int, element: Int) -> (UInt32, UInt32) {
        let words = words(
            UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: element >> 32),
            UInt32(truncatingIfNeeded: tensor), stream)
        return (words[0], words[1])
    }
}
