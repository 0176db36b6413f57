import DriftGPU
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData

/// The loop of masked autoregression: where its random numbers come from, and that all steps in one launch draw what single steps do.
@Suite struct RoundNoiseTests {
    private let labels = [7, 2]
    private let images = 3..<5
    private let seed: UInt64 = 0xFEDC_BA98_0123_4567

    /// A loop over two labels' images in four rounds, of random weights.
    private func loop(_ head: any TokenHead, _ stage: MARStage, _ device: Device) throws -> MaskedRounds {
        let layout = try ParameterLayout((stage.declarations + head.declarations).map { ($0.name, $0.shape) })
        let memory = DeviceMemory(device)
        let random = Philox(seed: 5)
        try memory.write(
            (0..<layout.count).map { Float(0.2 * random.normal(stream: 1, tensor: 0, element: $0)) }, to: layout.storage("parameters"))
        return MaskedRounds(
            stage, head, RoundSettings(rounds: 4), SamplingContext(StoredWeights(layout, buffer: "parameters"), memory: memory))
    }

    /// The numbers that a token starts from and those of the steps, as the host draws them.
    private func given(_ head: any TokenHead, tokens: Int, width: Int) -> MaskedRounds.Given {
        let random = Philox(seed: seed)
        func each(_ size: Int, _ stream: UInt32, _ value: (SIMD4<UInt32>) -> Double) -> [Float] {
            labels.flatMap { label in
                images.flatMap { image in
                    (0..<size).map { Float(value(random.words(UInt32($0), UInt32(image), UInt32(label), stream))) }
                }
            }
        }
        let start = each(tokens * head.start.width, 0x2010_0000) {
            head.start.law == .normal ? BoxMuller.normal($0[0], $0[1]) : Double($0[0] >> 8) / 0x1p24 - 0.5
        }
        let steps = head.drawsInSteps
            ? (0..<head.steps).flatMap { step in each(tokens * width, 0x2011_0000 + UInt32(step)) { BoxMuller.normal($0[0], $0[1]) } } : []
        let orders = labels.flatMap { label in images.flatMap { MaskedRounds.order(label, image: $0, tokens: tokens, seed: seed) } }
        return .init(orders: orders, start: start, steps: steps)
    }

    @Test("a seed draws what its numbers draw when they are given, step by step", arguments: TokenHeadTests.Kind.allCases, TestDevice.teams)
    func numbersOfASeed(_ kind: TokenHeadTests.Kind, _ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let head = kind.head()
            let stage = MARStage(
                .init(
                    tokens: 9, tokenWidth: 2, embed: TokenHeadTrial.conditionWidth, heads: 1, encoderDepth: 1, decoderDepth: 2, buffer: 2,
                    classes: 10, mlpRatio: 2, epsilon: 1e-6))
            let loop = try loop(head, stage, device)
            for cfg: Float in [1, 2] {
                let drawn = try loop.draw(labels, images: images, cfg: cfg, seed: seed)
                let want = try loop.draw(labels, images: images, cfg: cfg, seed: seed, given: given(head, tokens: 9, width: 2))
                #expect(drawn.count == 4 * 9 * 2 && drawn.contains { abs($0) > 0.01 })
                let largest = want.map(abs).max() ?? 0
                #expect(zip(drawn, want).allSatisfy { abs($0 - $1) <= 2e-4 * largest }, "cfg \(cfg)")
            }
        }
    }
}
