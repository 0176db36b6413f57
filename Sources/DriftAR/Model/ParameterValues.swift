import DriftData
import DriftFormats
import DriftGPU
import DriftReport
import Foundation

extension ParameterLayout {
    /// The first values of all parameters as one flat buffer, drawn from `seed` as their declarations, which are this
    /// layout's in the same order, say.
    func initialValues(of declarations: [ParameterDeclaration], seed: UInt64) throws -> [Float] {
        var values = [Float](repeating: 0, count: count)
        try forEachInitialValue(of: declarations, seed: seed) { entry in
            Array(values[entry.offset..<(entry.offset + entry.count)])
        } body: { entry, drawn in
            values.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: drawn)
        }
        return values
    }

    /// Hands the same to `body`, one parameter after the other. Where `given` has values for a parameter, it takes those.
    /// `earlier` is asked for those of a parameter that `body` has had.
    func forEachInitialValue(
        of declarations: [ParameterDeclaration], seed: UInt64, given: (ParameterDeclaration, Entry) throws -> [Float]? = { _, _ in nil },
        earlier: (Entry) throws -> [Float], body: (Entry, [Float]) throws -> Void
    ) throws {
        let random = Philox(seed: seed)
        for (index, declaration) in declarations.enumerated() {
            guard let entry = self[declaration.name] else { continue }
            if let taken = try given(declaration, entry) {
                try body(entry, taken)
                continue
            }
            switch declaration.initial {
            case .copy(let name):
                // Declared earlier, so already there.
                guard let source = self[name], source.count == entry.count else {
                    throw GraphError("parameter \(entry.name): nothing like it is called \(name)")
                }
                try body(entry, earlier(source))
            default: try body(entry, Self.drawn(entry, declaration.initial, tensor: index, random))
            }
        }
    }

    /// The first values of a parameter that is no other's copy. `tensor`: its number among the declarations.
    private static func drawn(
        _ entry: Entry, _ initial: ParameterDeclaration.Initial, tensor: Int, _ random: Philox
    ) -> [Float] {
        switch initial {
        case .zeros, .copy: return [Float](repeating: 0, count: entry.count)
        case .ones: return [Float](repeating: 1, count: entry.count)
        case .normal(let deviation):
            return filled(entry.count) { deviation * Float(random.normal(stream: stream, tensor: tensor, element: $0)) }
        case .glorot, .fanIn:
            let inputs = Float(entry.shape.last ?? 1)
            let bound =
                initial == .fanIn ? 1 / inputs.squareRoot() : (6 / (inputs + Float(entry.shape.first ?? 1))).squareRoot()
            return filled(entry.count) {
                bound * (2 * Float(random.uniform(stream: stream, tensor: tensor, element: $0)) - 1)
            }
        case .position(let columns):
            let width = entry.shape.last ?? 1
            return filled(entry.count) { position(token: $0 / width, columns: columns, feature: $0 % width, of: width) }
        }
    }

    private static var stream: UInt32 { 0x2001_0000 }

    /// The values of all places, on all cores: each depends on its place alone.
    private static func filled(_ count: Int, _ value: @Sendable (Int) -> Float) -> [Float] {
        let block = 1 << 14
        return [Float](unsafeUninitializedCapacity: count) { buffer, written in
            let values = SharedBuffer(buffer)
            DispatchQueue.concurrentPerform(iterations: (count + block - 1) / block) { part in
                for i in (part * block)..<min(count, (part + 1) * block) { values.buffer[i] = value(i) }
            }
            written = count
        }
    }

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
