import COpenCL

/// How a device carries out the products of gpu_mma.cl.
public enum TensorCores: Sendable {
    /// By the device's own matrix instructions.
    case instructions
    /// In portable OpenCL C with the same layout and roundings, slow; for tests, on request (DRIFTGPU_TENSOR=emulate).
    case emulation

    /// -D values for gpu_mma.cl.
    func defines(_ precision: Precision) -> [String: String] {
        var defines: [String: String] = self == .instructions ? ["MMA_PTX": "1"] : [:]
        if precision == .bf16 { defines["MMA_BF16"] = "1" }
        return defines
    }
}

extension Device {
    /// How matrix products of `precision` can be done here; nil where they cannot. Found out by building `mma_check` and
    /// comparing what it calculates: a compiler that takes the instructions may still number its lanes otherwise.
    public func tensorCores(for precision: Precision) -> TensorCores? {
        guard precision != .fp32, traits.isGPUShape else { return nil }
        if emulatesTensorCores { return computes(.emulation, precision) ? .emulation : nil }
        // Some compilers print their complaints instead of only logging them, so hopeless programs are not tried.
        guard about.kind == .gpu else { return nil }
        return computes(.instructions, precision) ? .instructions : nil
    }

    private func computes(_ cores: TensorCores, _ precision: Precision) -> Bool {
        let check = TensorCoreCheck(precision)
        do {
            let result = try run(check, defines: cores.defines(precision))
            guard result.products == check.products && result.rows == check.rows else {
                log.debug("\(precision) by \(cores): products or sums of rows differ from the known ones on \(about.name)")
                return false
            }
            return true
        } catch {
            log.debug("\(precision) by \(cores): \(error)")
            return false
        }
    }

    private func run(
        _ check: TensorCoreCheck, defines: [String: String]
    ) throws -> (products: [Float], rows: [Float]) {
        let launch = TensorCoreCheck.launch(defines)
        let kernel = try makeKernel(launch.kernel, family: launch.family, defines: launch.defines)
        defer { clReleaseKernel(kernel) }
        var products = [Float](repeating: .nan, count: check.products.count)
        var rows = [Float](repeating: .nan, count: check.rows.count)
        let buffers = try [check.a, check.b, check.c, products, rows].map { values in
            let buffer = try Buffer(self, name: "mma_check", byteCount: 4 * values.count)
            try values.withUnsafeBytes { try write($0, to: buffer, at: 0) }
            return buffer
        }
        for (position, buffer) in buffers.enumerated() {
            var handle: cl_mem? = buffer.handle
            try OpenCLError.check(
                clSetKernelArg(kernel, cl_uint(position), MemoryLayout<cl_mem?>.size, &handle), "kernel mma_check")
        }
        try OpenCLError.check(
            clEnqueueNDRangeKernel(queue, kernel, 1, nil, launch.global, launch.local, 0, nil, nil), "kernel mma_check")
        try products.withUnsafeMutableBytes { try read(buffers[3], at: 0, into: $0) }
        try rows.withUnsafeMutableBytes { try read(buffers[4], at: 0, into: $0) }
        try finish()
        return (products, rows)
    }
}

/// Known products for `mma_check`: 16 x k times k x 8 plus 16 x 8, one for each of four warps.
///
/// The values of A have one bit more than fits, so that half of them are ties, and all sums are whole numbers below 2^24:
/// right or wrong to the bit, in any order of summation.
struct TensorCoreCheck {
    static let warps = 4

    /// Its launch; the arguments are the buffers of a, b, c, products and rows.
    static func launch(_ defines: [String: String]) -> Launch {
        Launch(
            kernel: "mma_check", family: "gpu_mma", defines: defines, arguments: [], global: [warps * 32], local: [warps * 32])
    }

    let a: [Float]
    let b: [Float]
    let c: [Float]
    /// [warp, 16, 8].
    let products: [Float]
    /// [warp, lane, 2]: the largest value and the sum of row lane / 4.
    let rows: [Float]

    init(_ precision: Precision) {
        let k = precision == .bf16 ? 16 : 8
        let first = 1 << precision.significantBits
        var state: UInt32 = 1
        /// The next of a fixed sequence of whole numbers in `range`.
        func next(_ range: Range<Int>) -> Float {
            state = state &* 1_664_525 &+ 1_013_904_223
            return Float(range.lowerBound + Int(state >> 8) % range.count)
        }
        a = (0..<Self.warps * 16 * k).map { _ in next(first..<2 * first) * (next(0..<2) == 0 ? 1 : -1) }
        b = (0..<Self.warps * k * 8).map { _ in next(-3..<4) }
        c = (0..<Self.warps * 16 * 8).map { _ in next(-100..<101) }
        var products = c
        for warp in 0..<Self.warps {
            for row in 0..<16 {
                for column in 0..<8 {
                    for step in 0..<k {
                        products[(warp * 16 + row) * 8 + column] +=
                            precision.rounded(a[(warp * 16 + row) * k + step]) * b[(warp * k + step) * 8 + column]
                    }
                }
            }
        }
        self.products = products
        rows = (0..<Self.warps * 32).flatMap { item in
            let first = (item / 32 * 16 + item % 32 / 4) * 8
            let row = products[first..<first + 8]
            return [row.reduce(-.infinity, max), row.reduce(0, +)]
        }
    }
}
