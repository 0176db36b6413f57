import CCLBlast
import COpenCL

/// Matrix products by CLBlast. What its GEMM cannot do (bias, activation, gate, residual) follows as one launch of our own.
struct CLBlastGEMM: LibraryGEMM {
    var name: String { "clblast" }

    func scratchCount(_ gemm: GEMM, traits: DeviceTraits) -> Int {
        Self.needsScratch(gemm) ? gemm.batch * gemm.m * gemm.n : 0
    }

    /// The epilogue may read a tensor that shares C's memory, so the product must not go to C first. The kept
    /// pre-activation takes it where there is one.
    private static func needsScratch(_ gemm: GEMM) -> Bool {
        gemm.epilogue.intermediate == nil && (gemm.epilogue.residual != nil || gemm.epilogue.derivativeOf != nil)
    }

    func commands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command] {
        var product = gemm
        product.epilogue = GEMMEpilogue()
        if gemm.epilogue.isEmpty { return [.library(product)] }
        if let intermediate = gemm.epilogue.intermediate {
            product.c.argument = intermediate
        } else if Self.needsScratch(gemm) {
            product.c = GEMMOperand(scratch, leadingDimension: gemm.n, batchStride: gemm.m * gemm.n)
        }
        // C's old value is added where C is written.
        let accumulatesLater = gemm.accumulate && product.c != gemm.c
        if accumulatesLater { product.accumulate = false }
        return [
            .library(product),
            gemm.epilogueLaunch(of: product.c, parts: 1, alpha: 1, accumulates: accumulatesLater, traits: traits),
        ]
    }

    func enqueue(
        _ gemm: GEMM, on device: Device, resolve: (Argument) throws -> (buffer: cl_mem, offset: Int),
        event: UnsafeMutablePointer<cl_event?>?
    ) throws {
        let a = try resolve(gemm.a.argument)
        let b = try resolve(gemm.b.argument)
        let c = try resolve(gemm.c.argument)
        let transposeA = gemm.transposeA ? CLBlastTransposeYes : CLBlastTransposeNo
        let transposeB = gemm.transposeB ? CLBlastTransposeYes : CLBlastTransposeNo
        let beta: Float = gemm.accumulate ? 1 : 0
        var queue: cl_command_queue? = device.queue
        let status: CLBlastStatusCode
        if gemm.batch == 1 {
            status = CLBlastSgemm(
                CLBlastLayoutRowMajor, transposeA, transposeB, gemm.m, gemm.n, gemm.k, gemm.alpha, a.buffer, a.offset,
                gemm.a.leadingDimension, b.buffer, b.offset, gemm.b.leadingDimension, beta, c.buffer, c.offset,
                gemm.c.leadingDimension, &queue, event)
        } else {
            status = CLBlastSgemmStridedBatched(
                CLBlastLayoutRowMajor, transposeA, transposeB, gemm.m, gemm.n, gemm.k, gemm.alpha, a.buffer, a.offset,
                gemm.a.leadingDimension, gemm.a.batchStride, b.buffer, b.offset, gemm.b.leadingDimension,
                gemm.b.batchStride, beta, c.buffer, c.offset, gemm.c.leadingDimension, gemm.c.batchStride, gemm.batch,
                &queue, event)
        }
        try OpenCLError.check(Int32(status.rawValue), "CLBlast \(gemm.m) x \(gemm.n) x \(gemm.k)")
    }
}
