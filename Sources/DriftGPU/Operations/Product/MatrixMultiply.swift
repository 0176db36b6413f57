/// C = alpha * op(A) op(B), with everything that a product can take along before it is written.
///
/// Inputs: a, b, then those of bias, the argument of the activation's derivative, residual and gate that are there. B is one matrix, and A's
/// leading dimensions are its rows; or both have a leading batch dimension, and the products are done one for each entry.
/// Outputs: C and, if `keepsIntermediate`, the value before the activation or before gate and residual; or, if `sumsRows`, those sums.
struct MatrixMultiply: Operation {
    /// Rows of a gate for the rows of C: gate row (m / span) * inner + m % inner.
    struct Gate: Sendable {
        var span: Int
        var inner: Int
    }

    var label = "matrix_multiply"
    var transposeA = false
    var transposeB = false
    var alpha: Float = 1
    var hasBias = false
    /// GELU or SiLU.
    var activation: Activation?
    /// Multiplies by the activation's derivative at an input of C's size, the backward of an activation behind that of a linear
    /// layer, instead of applying it.
    var multipliesByDerivative = false
    var hasResidual = false
    var gate: Gate?
    var keepsIntermediate = false
    /// With A transposed, the sums over k of op(A)'s rows are the second output [m]: a bias's gradient beside its weight's.
    var sumsRows = false

    var name: String {
        label + (activation.map { "_" + $0.rawValue } ?? "") + (multipliesByDerivative ? "_backward" : "")
            + (hasResidual ? gate == nil ? "_add" : "_residual" : "")
    }

    private var isPlain: Bool { activation == nil && !hasResidual && gate == nil && !sumsRows }
    private var auxIndex: Int { hasBias ? 3 : 2 }
    private var residualIndex: Int { auxIndex + (multipliesByDerivative ? 1 : 0) }

    var inPlace: [(input: Int, output: Int)] {
        (multipliesByDerivative ? [(auxIndex, 0)] : []) + (hasResidual ? [(residualIndex, 0)] : [])
    }

    var stridedInputs: [Int] { gate == nil ? [] : [residualIndex + 1] }

    /// Extents of the product.
    private struct Extents {
        var batch = 1
        var m: Int
        var n: Int
        var k: Int
        /// False when op(A) and op(B) do not meet.
        var agree: Bool
    }

    private func extents(_ inputs: [TensorType]) -> Extents {
        let (a, b) = (inputs[0], inputs[1])
        let isBatched = b.rank == 3
        let rowsOfA = isBatched ? a.shape[a.rank - 2] : a.rows
        let rowsOfB = b.shape[b.rank - 2]
        let (m, k) = transposeA ? (a.columns, rowsOfA) : (rowsOfA, a.columns)
        let (n, other) = transposeB ? (rowsOfB, b.columns) : (b.columns, rowsOfB)
        let agree = k == other && (!isBatched || a.rank == 3 && a.shape[0] == b.shape[0])
        return Extents(batch: isBatched ? b.shape[0] : 1, m: m, n: n, k: k, agree: agree)
    }

    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (a, b) = (inputs[0], inputs[1])
        guard a.rank >= 2, b.rank == 2 || b.rank == 3, a.count > 0, b.count > 0,
            a.element == .float32, b.element == .float32
        else { throw GraphError("\(name): \(a) and \(b) are not matrices") }
        let extents = extents(inputs)
        guard extents.agree else {
            throw GraphError(
                "\(name): \(a)\(transposeA ? " transposed" : "") and \(b)\(transposeB ? " transposed" : "") do not multiply")
        }
        if hasBias, inputs[2].count != extents.n {
            throw GraphError("\(name): bias \(inputs[2]) for \(extents.n) columns of \(a) and \(b)")
        }
        if sumsRows {
            guard transposeA, b.rank == 2 else {
                throw GraphError("\(name): the rows of \(a) are summed only transposed, and not in batches")
            }
            return [TensorType([extents.m, extents.n]), TensorType([extents.m])]
        }
        if b.rank == 3 { return [TensorType([extents.batch, extents.m, extents.n])] }
        return [TensorType(transposeA ? [extents.m, extents.n] : a.shape.dropLast() + [extents.n])]
    }

    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        guard isPlain else { throw GraphError("\(name): has no gradient; detach its result first") }
        guard let arriving = gradients[0] else { return node.inputs.map { _ in nil } }
        let (a, b) = (node.inputs[0], node.inputs[1])
        func multiply(_ x: Tensor, _ transposeX: Bool, _ y: Tensor, _ transposeY: Bool) throws -> Tensor {
            try graph.matrixMultiply(x, y, transposeA: transposeX, transposeB: transposeY, alpha: alpha)
        }
        // One matrix of all rows each, unless there is one product for each entry.
        func flat(_ x: Tensor) throws -> Tensor {
            b.type.rank == 3 ? x : try graph.reshape(x, [x.type.rows, x.type.columns])
        }
        let dC = try flat(arriving)
        var results: [Tensor?] = node.inputs.map { _ in nil }
        if needs[0] { results[0] = try transposeA ? multiply(b, transposeB, dC, true) : multiply(dC, false, b, !transposeB) }
        if needs[1] {
            let a = try flat(a)
            if hasBias, needs[2], transposeB, !transposeA, alpha == 1, b.type.rank == 2 {
                let both = try graph.apply(MatrixMultiply(transposeA: true, sumsRows: true), dC, a)
                (results[1], results[2]) = (both[0], both[1])
                return results
            }
            results[1] = try transposeB ? multiply(dC, true, a, transposeA) : multiply(a, !transposeA, dC, false)
        }
        if hasBias, needs[2] { results[2] = try graph.columnSum(dC) }
        return results
    }

    func scratch(_ context: LaunchContext) -> [TensorType] {
        let gemm = product(context)
        let count = context.gemm.scratchCount(gemm, traits: context.traits)
        let sums = sumsRows && gemm.rowSum == nil ? context.columnSumScratch(rows: gemm.k, columns: gemm.m) : 0
        return count + sums > 0 ? [TensorType([count + sums])] : []
    }

    func commands(_ context: LaunchContext) -> [Command] {
        let gemm = product(context)
        let commands = context.gemm.commands(gemm, scratch: .scratch(0), traits: context.traits)
        guard sumsRows, gemm.rowSum == nil else { return commands }
        let used = context.gemm.scratchCount(gemm, traits: context.traits)
        return commands
            + context.columnSum(
                .input(0), .output(1), rows: gemm.k, columns: gemm.m, scratch: .scratch(0, offset: used))
    }

    func product(_ context: LaunchContext) -> GEMM {
        let extents = extents(context.inputs)
        let (m, n, k) = (extents.m, extents.n, extents.k)
        let isBatched = extents.batch > 1
        func operand(_ argument: Argument, _ columns: Int, _ count: Int) -> GEMMOperand {
            GEMMOperand(argument, leadingDimension: columns, batchStride: isBatched ? count : 0)
        }
        var gemm = GEMM(
            m: m, n: n, k: k, a: operand(.input(0), context.inputs[0].columns, m * k),
            b: operand(.input(1), context.inputs[1].columns, k * n), c: operand(.output(0), n, m * n))
        gemm.batch = extents.batch
        gemm.transposeA = transposeA
        gemm.transposeB = transposeB
        gemm.alpha = alpha
        if hasBias { gemm.epilogue.bias = .input(2) }
        gemm.epilogue.activation = activation
        if keepsIntermediate { gemm.epilogue.intermediate = .output(1) }
        if multipliesByDerivative { gemm.epilogue.derivativeOf = .input(auxIndex) }
        if hasResidual { gemm.epilogue.residual = .input(residualIndex) }
        if let gate {
            gemm.epilogue.gate = .input(residualIndex + 1)
            gemm.epilogue.gateSpan = gate.span
            gemm.epilogue.gateInner = gate.inner
            gemm.epilogue.gateStride = context.inputStrides[residualIndex + 1]
        }
        if sumsRows, context.gemm.sumsRows(gemm, traits: context.traits) { gemm.rowSum = .output(1) }
        return gemm
    }

    func fused(
        with consumer: any Operation, at index: Int, inputs: [TensorType], consumerInputs: [TensorType],
        keepsIntermediate: Bool
    ) -> (any Operation)? {
        guard isPlain else { return nil }
        var fused = self
        fused.keepsIntermediate = keepsIntermediate
        switch consumer {
        case is Add: fused.hasResidual = true
        case let activate as Activate where activate.function != .relu: fused.activation = activate.function
        case let backward as ActivateGradient where backward.function != .relu && index == 1:
            fused.activation = backward.function
            fused.multipliesByDerivative = true
        case let residual as Residual where residual.dropout == nil && index == 1:
            fused.hasResidual = true
            if let map = residual.map {
                // The gate's rows count those of one matrix.
                guard inputs[1].rank == 2, consumerInputs[1].columns == extents(inputs).n else { return nil }
                fused.gate = Gate(span: map.span, inner: map.inner)
            }
        default: return nil
        }
        return fused
    }
}

extension Graph {
    /// alpha * op(a) op(b). `b` is [k, n] ([n, k] if `transposeB`), and the leading dimensions of `a` are its rows; or both
    /// have one leading batch dimension.
    public func matrixMultiply(
        _ a: Tensor, _ b: Tensor, transposeA: Bool = false, transposeB: Bool = false, alpha: Float = 1
    ) throws -> Tensor {
        try apply(MatrixMultiply(transposeA: transposeA, transposeB: transposeB, alpha: alpha), a, b)[0]
    }
}
