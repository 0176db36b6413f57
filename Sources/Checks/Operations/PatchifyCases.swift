import DriftGPU

/// Images as tokens and back.
enum PatchifyCases: OperationCases {
    static let families = [OperationFamily("patchify", all, untimed: "unpatchify: sampling; bench sample times it with the rest")]

    /// Index into the images of every element of the tokens, by the definition.
    static func sources(_ batch: Int, _ channels: Int, _ height: Int, _ width: Int, _ patch: Int) -> [Int] {
        var result: [Int] = []
        for b in 0..<batch {
            for h in 0..<(height / patch) {
                for w in 0..<(width / patch) {
                    for c in 0..<channels {
                        for p in 0..<patch {
                            for q in 0..<patch {
                                result.append(((b * channels + c) * height + h * patch + p) * width + w * patch + q)
                            }
                        }
                    }
                }
            }
        }
        return result
    }

    /// Every case.
    static let all: [OperationCase] = make(2, 3, 8, 12, 2) + make(1, 1, 9, 3, 3) + make(2, 16, 4, 4, 1)

    static func make(_ batch: Int, _ channels: Int, _ height: Int, _ width: Int, _ patch: Int) -> [OperationCase] {
        let sources = sources(batch, channels, height, width, patch)
        let images = [batch, channels, height, width]
        let tokens = [batch, (height / patch) * (width / patch), channels * patch * patch]
        return [
            OperationCase(
                name: "patchify \(images) by \(patch)", inputs: [.init(shape: images)],
                build: { graph, x in [try graph.patchify(x[0], patch: patch)] },
                reference: { x in [sources.map { x[0][$0] }] }),
            OperationCase(
                name: "unpatchify \(images) by \(patch)", inputs: [.init(shape: tokens)],
                build: { graph, x in
                    [try graph.unpatchify(x[0], channels: channels, height: height, width: width, patch: patch)]
                },
                reference: { x in
                    var y = [Double](repeating: 0, count: x[0].count)
                    for (token, image) in sources.enumerated() { y[image] = x[0][token] }
                    return [y]
                }),
        ]
    }
}
