import DriftData
import DriftGPU
import Foundation

/// Noise that belongs to images: labels that repeat, numbers of images and rounds that wrap, sizes that end within a vector.
enum NoiseCases: OperationCases {
    static let families = [OperationFamily("noise", all, untimed: "the noise of a drawing; bench kernels --rows times it")]

    /// Every case.
    static let all: [OperationCase] = [
        make([3], [1], images: 1), make([0, 7, 7, -1], [5, 3], images: 3), make([999], [16, 16], images: 2, firstImage: .max),
        make([1, 0], [37], images: 5, firstImage: 12, round: 0x1_0003), make([2], [2, 2100], images: 1, round: 65535),
        make([4, 5, 6], [64], images: 1, firstImage: 3_000_000_000), make([3], [1], images: 1, isUniform: true),
        make([0, 7, -1], [5, 3], images: 3, firstImage: 12, round: 0x1_0003, isUniform: true),
        make([1, 0], [37], images: 2, firstImage: .max, isUniform: true),
    ]

    private static func make(
        _ labels: [Int32], _ item: [Int], images: Int, firstImage: UInt32 = 0, round: UInt32 = 0, isUniform: Bool = false
    ) -> OperationCase {
        let (stream, seed) = (0x2004_0000, 0x9ABC_DEF0_1234_5678 as UInt64)
        let size = item.reduce(1, *)
        func input(_ words: [UInt32]) -> OperationCase.Input {
            .init(shape: [words.count], values: .words(words), isDifferentiable: false)
        }
        return OperationCase(
            name: "\(isUniform ? "uniform" : "random")_noise \(labels.count) x \(images) x \(size) from \(firstImage) in \(round)",
            inputs: [
                input([UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)]),
                .init(shape: [labels.count], values: .integers(labels)), input([firstImage]), input([round]),
            ],
            build: { graph, x in
                let source = NoiseSource(stream: stream, key: x[0], labels: x[1], firstImage: x[2], round: x[3])
                return [
                    try isUniform
                        ? graph.randomUniform(item, images: images, of: source) : graph.randomNormal(item, images: images, of: source)
                ]
            },
            reference: { _ in
                let random = Philox(seed: seed)
                let draw = UInt32(stream) + (round & 0xFFFF)
                return [
                    labels.flatMap { label in
                        (0..<images).flatMap { image in
                            (0..<size).map { element in
                                let words = random.words(
                                    UInt32(element), firstImage &+ UInt32(image), UInt32(bitPattern: label), draw)
                                if isUniform { return Double(words[0] >> 8) / 0x1p24 }
                                let radius = (-2 * log((Double(words[0]) + 1) / 0x1p32)).squareRoot()
                                return radius * cos(2 * .pi * Double(words[1]) / 0x1p32)
                            }
                        }
                    }
                ]
            }, tolerance: 1e-6)
    }
}
