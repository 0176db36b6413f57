/// The size of a matrix product, whatever the operands are.
public struct GEMMShape: Sendable, Hashable, CustomStringConvertible {
    public var m: Int
    public var n: Int
    public var k: Int
    public var transposeA: Bool
    public var transposeB: Bool
    public var batch: Int

    init(_ gemm: GEMM) {
        (m, n, k, batch) = (gemm.m, gemm.n, gemm.k, gemm.batch)
        (transposeA, transposeB) = (gemm.transposeA, gemm.transposeB)
    }

    public init(m: Int, n: Int, k: Int, transposeA: Bool = false, transposeB: Bool = false, batch: Int = 1) {
        (self.m, self.n, self.k, self.batch) = (m, n, k, batch)
        (self.transposeA, self.transposeB) = (transposeA, transposeB)
    }

    public var description: String {
        (batch > 1 ? "\(batch) times " : "") + "\(m) x \(n) x \(k)" + (transposeA ? " A^T" : "") + (transposeB ? " B^T" : "")
    }

    /// Floating-point operations.
    public var flops: Double { 2 * Double(m) * Double(n) * Double(k) * Double(batch) }

    /// Every size that a graph's products by a BLAS library have, with how many there are.
    public static func all(in graph: Graph, traits: DeviceTraits) throws -> [GEMMShape: Int] {
        var shapes: [GEMMShape: Int] = [:]
        for step in try Schedule(graph, traits: traits, gemm: CLBlastGEMM()).steps {
            for case .library(let gemm) in step.commands { shapes[GEMMShape(gemm), default: 0] += 1 }
        }
        return shapes
    }
}
