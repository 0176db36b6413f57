import TestSupport
import Testing

@testable import DriftGPU

@Suite(.enabled(if: TestDevice.shapes.contains(.gpu))) struct TensorCoreGEMMTests {
    static let precisions: [Precision] = [.tf32, .bf16]

    /// Whole tiles of each size, tails of each kind in each direction, and a K that is split.
    static let products: [ProductCase] = sizes.flatMap { m, n, k in
        [(false, false), (false, true), (true, false), (true, true)].map {
            ProductCase(m: m, n: n, k: k, transposeA: $0, transposeB: $1, alpha: 0.5)
        }
    }
    private static let sizes: [(m: Int, n: Int, k: Int)] =
        TestDevice.isSmall
        ? [(33, 20, 37)] : [(16, 16, 16), (33, 50, 37), (64, 128, 64), (128, 192, 40), (250, 256, 33), (17, 20, 700)]

    /// Rows that start at any address, entries of a batch, C added to.
    static let layouts: [ProductCase] = [
        ProductCase(m: 20, n: 18, k: 35, transposeB: true, skew: 1),
        ProductCase(m: 66, n: 70, k: 50, transposeA: true, skew: 3),
        ProductCase(m: 64, n: 64, k: 64, skew: 4),
        ProductCase(m: 20, n: 30, k: 40, batch: 3, alpha: -2),
        ProductCase(m: 20, n: 30, k: 40, transposeB: true, batch: 3, sharesB: true, accumulates: true),
        ProductCase(m: 16, n: 24, k: 600, transposeA: true, alpha: 3, accumulates: true, skew: 2),
    ]

    /// Each part of the epilogue alone, all that go together, and the epilogue of a product split over K.
    static let epilogues: [ProductCase] =
        ProductCase.Part.allCases.map { ProductCase(m: 40, n: 33, k: 20, transposeB: true, parts: [$0]) } + [
            ProductCase(m: 40, n: 72, k: 20, alpha: 2, accumulates: true, parts: [.bias, .intermediate, .gelu], skew: 1),
            ProductCase(m: 140, n: 128, k: 20, parts: [.bias, .intermediate, .gate, .residual]),
            ProductCase(m: 24, n: 40, k: 600, parts: [.bias, .geluDerivative, .gate, .residual], skew: 2),
            ProductCase(m: 40, n: 72, k: 20, parts: [.bias, .intermediate, .silu]),
            ProductCase(m: 24, n: 40, k: 600, parts: [.siluDerivative, .residual], skew: 1),
        ]

    @Test(arguments: products, precisions) func agreesWithReference(_ product: ProductCase, _ precision: Precision) throws {
        try product.check(precision)
    }

    @Test(.enabled(if: !TestDevice.isSmall), arguments: layouts + epilogues, precisions)
    func layoutsAndEpilogues(_ product: ProductCase, _ precision: Precision) throws { try product.check(precision) }

    /// Where mma takes no part the products keep single precision.
    @Test(arguments: [ProductCase(m: 15, n: 40, k: 30), ProductCase(m: 40, n: 4, k: 30), ProductCase(m: 40, n: 30, k: 7)])
    func smallProductsAreNotRounded(_ product: ProductCase) throws {
        try TestDevice.with(.gpu, precision: .bf16) { device in
            let provider = try #require(device.gemm as? TensorCoreGEMM)
            let operand = GEMMOperand(.input(0), leadingDimension: 1)
            let gemm = GEMM(m: product.m, n: product.n, k: product.k, a: operand, b: operand, c: operand)
            #expect(!provider.takes(gemm))
            let commands = provider.commands(gemm, scratch: .scratch(0), traits: device.traits)
            guard case .kernel(let launch) = commands.first else { return }
            #expect(launch.family == "gemm")
        }
    }

    /// NaN and infinity come through; what rounds beyond the largest value is infinite; other rows stay as they are.
    @Test(arguments: precisions) func specialValues(_ precision: Precision) throws {
        try TestDevice.with(.gpu, precision: precision) { device in
            let graph = Graph()
            let (a, b) = (try graph.input("a", [16, 16]), try graph.input("b", [16, 16]))
            let y = try graph.matrixMultiply(a, b)
            graph.output(y)
            let executor = try Executor(
                Schedule(graph, traits: device.traits, gemm: device.gemm), memory: DeviceMemory(device))
            let special: [Float] = [
                Float(bitPattern: 0x7FFF_FFFF), Float(bitPattern: 0xFF80_0001), .infinity, -.greatestFiniteMagnitude,
                .leastNormalMagnitude, -0.0,
            ]
            var rows = [Float](repeating: 1, count: 256)
            for (row, value) in special.enumerated() { rows[row * 16 + 5] = value }
            try executor.write(rows, to: a)
            try executor.write((0..<256).map { Float($0 % 17 == 0 ? 1 : 0) }, to: b)
            try executor.run()
            // B is the identity, but infinity times its zeros is NaN.
            let got = try executor.read(y)
            #expect(got[5].isNaN && got[16 + 5].isNaN)
            #expect(got[2 * 16 + 5] == .infinity && got[3 * 16 + 5] == -.infinity)
            #expect(got[4 * 16 + 5] == .leastNormalMagnitude && got[5 * 16 + 5] == 0)
            #expect(got.dropFirst(6 * 16).allSatisfy { $0 == 1 })
        }
    }

    @Test func tilesFitTheProduct() {
        let provider = TensorCoreGEMM(precision: .bf16, cores: .instructions, fallback: NativeGEMM())
        let traits = DeviceTraits(teamSize: 64, lanes: 4, computeUnits: 132, localMemory: 48 << 10)
        func tiling(_ m: Int, _ n: Int, _ k: Int, batch: Int = 1, local: Int = 48 << 10) -> TensorCoreGEMM.Tiling {
            let operand = GEMMOperand(.input(0), leadingDimension: 1)
            var gemm = GEMM(m: m, n: n, k: k, a: operand, b: operand, c: operand)
            gemm.batch = batch
            var traits = traits
            traits.localMemory = local
            return provider.tiling(gemm, traits)
        }
        #expect(tiling(16384, 2048, 512).tile == .init(m: 128, n: 128))
        #expect(tiling(16384, 2048, 512, local: 32 << 10).tile == .init(m: 128, n: 64))
        #expect(tiling(16384, 192, 512).tile == .init(m: 128, n: 64))
        #expect(tiling(2560, 256, 64) == .init(tile: .init(m: 64, n: 64), splits: 1, splitK: 64))
        #expect(tiling(64, 64, 64, batch: 500).tile == .init(m: 64, n: 64))
        // A gradient of a weight: 16 tiles, so many parts of K that each has at least 256 values.
        let long = tiling(128, 512, 2560)
        #expect(long.splits == 10 && long.splitK == 256)
        #expect(tiling(128, 512, 2570).splits * tiling(128, 512, 2570).splitK >= 2570)
    }
}
