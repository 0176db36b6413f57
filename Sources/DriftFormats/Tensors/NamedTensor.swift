/// A tensor in host memory, as files hold it: a shape and its values in row-major order. The name is the key of the
/// dictionary it lies in.
public struct NamedTensor: Sendable, Equatable {
    public enum Values: Sendable, Equatable {
        case floats([Float])
        case ints([Int32])
        case longs([Int64])
        case bytes([UInt8])
    }

    public let shape: [Int]
    public let values: Values

    public init(shape: [Int], floats: [Float]) throws {
        try self.init(shape: shape, values: .floats(floats), count: floats.count)
    }

    public init(shape: [Int], ints: [Int32]) throws {
        try self.init(shape: shape, values: .ints(ints), count: ints.count)
    }

    public init(shape: [Int], longs: [Int64]) throws {
        try self.init(shape: shape, values: .longs(longs), count: longs.count)
    }

    public init(shape: [Int], bytes: [UInt8]) throws {
        try self.init(shape: shape, values: .bytes(bytes), count: bytes.count)
    }

    private init(shape: [Int], values: Values, count: Int) throws {
        guard let expected = Self.elementCount(of: shape), expected == count else {
            throw DataError("\(count) values do not fill the shape \(shape)", at: "tensor",
                            fix: "give as many values as the shape has elements")
        }
        self.shape = shape
        self.values = values
    }

    /// Elements of a shape; nil where a dimension is negative or the product overflows, that of a part of the dimensions
    /// included: a 0 among them makes the others no more sensible.
    package static func elementCount(of shape: [Int]) -> Int? {
        var count = 1
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: max(dimension, 1))
            if dimension < 0 || overflow { return nil }
            count = product
        }
        return shape.contains(0) ? 0 : count
    }

    /// Number of values.
    public var count: Int {
        switch values {
        case .floats(let values): values.count
        case .ints(let values): values.count
        case .longs(let values): values.count
        case .bytes(let values): values.count
        }
    }

    /// The values where they are floats.
    public var floats: [Float]? {
        if case .floats(let values) = values { values } else { nil }
    }

    public var ints: [Int32]? {
        if case .ints(let values) = values { values } else { nil }
    }

    public var longs: [Int64]? {
        if case .longs(let values) = values { values } else { nil }
    }

    public var bytes: [UInt8]? {
        if case .bytes(let values) = values { values } else { nil }
    }
}
