/// A matrix of a product: where it lies and how its rows follow each other.
public struct GEMMOperand: Sendable, Hashable {
    public var argument: Argument
    /// Elements from one stored row to the next.
    public var leadingDimension: Int
    /// Elements from one batch entry to the next; 0 when all entries share the matrix.
    public var batchStride: Int

    public init(_ argument: Argument, leadingDimension: Int, batchStride: Int = 0) {
        self.argument = argument
        self.leadingDimension = leadingDimension
        self.batchStride = batchStride
    }
}

/// What happens to the product before it is written, in this order:
/// value += bias[n]; pre-activation is stored; value = f(value); value *= f'(aux[m, n]), f GELU or SiLU;
/// value = residual[m, n] + gate[row(m), n] * value with row(m) = (m / span) * inner + m % inner.
public struct GEMMEpilogue: Sendable, Hashable {
    public var bias: Argument?
    /// The function f; with `derivativeOf`, the function whose derivative f' is taken.
    var activation: Activation?
    /// Where the value before the activation, or before gate and residual, is kept; same layout as C.
    public var intermediate: Argument?
    /// The argument of f'; nil: the value goes through f itself, if there is one.
    public var derivativeOf: Argument?
    public var residual: Argument?
    public var gate: Argument?
    public var gateStride = 0
    public var gateSpan = 1
    public var gateInner = 1

    public init() {}
    public var isEmpty: Bool { self == GEMMEpilogue() }
}

/// C = alpha * op(A) op(B) (+ C if `accumulate`), then the epilogue; row-major, [m, k] x [k, n] -> [m, n], `batch` times.
public struct GEMM: Sendable, Hashable, CustomStringConvertible {
    public var m: Int
    public var n: Int
    public var k: Int
    public var transposeA = false
    public var transposeB = false
    public var batch = 1
    public var alpha: Float = 1
    public var accumulate = false
    public var a: GEMMOperand
    public var b: GEMMOperand
    public var c: GEMMOperand
    public var epilogue = GEMMEpilogue()
    /// Where the sums over k of op(A)'s rows go, [m]: with a weight's gradient, the gradient of its bias. Only for
    /// providers that say `sumsRows`.
    public var rowSum: Argument?

    public init(m: Int, n: Int, k: Int, a: GEMMOperand, b: GEMMOperand, c: GEMMOperand) {
        self.m = m
        self.n = n
        self.k = k
        self.a = a
        self.b = b
        self.c = c
    }

    /// As m x n x k, with the operands that are transposed.
    public var description: String {
        let entries = batch > 1 ? "\(batch) times " : ""
        return entries + "\(m) x \(n) x \(k)" + (transposeA ? " A^T" : "") + (transposeB ? " B^T" : "")
    }

    /// Each matrix once over the bus, two operations a multiply-add.
    public var traffic: Traffic {
        let a = m * k * (self.a.batchStride == 0 ? 1 : batch)
        let b = k * n * (self.b.batchStride == 0 ? 1 : batch)
        return Traffic(bytes: 4 * (a + b + m * n * batch), flops: 2 * m * n * k * batch)
    }
}

/// Carries out matrix products on a device: our own kernels, or a library.
public protocol GEMMProvider: Sendable {
    /// `native`, `clblast` or `tensor`.
    var name: String { get }
    /// Whether the product can put out the sums of op(A)'s rows as well, at next to no cost.
    func sumsRows(_ gemm: GEMM, traits: DeviceTraits) -> Bool
    /// Float elements of scratch that `commands` needs for this product.
    func scratchCount(_ gemm: GEMM, traits: DeviceTraits) -> Int
    /// The commands; `scratch` is the argument of that scratch (any argument when `scratchCount` is 0).
    func commands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command]
}

extension GEMMProvider {
    public func sumsRows(_ gemm: GEMM, traits: DeviceTraits) -> Bool { false }
}
