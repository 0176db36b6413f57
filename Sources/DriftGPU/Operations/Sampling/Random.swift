/// Random numbers from (seed, stream, step, element): nothing is stored, and a replay draws new ones when the clock moves.
/// Input: the clock [4] uint32, {seed low, seed high, step low, step high}.
struct Random: Operation {
    enum Distribution: Sendable {
        case normal, uniform
        /// Whole numbers of 0 ..< limit.
        case whole(limit: Int)
    }
    let distribution: Distribution
    let shape: [Int]
    let stream: Int

    var name: String {
        switch distribution {
        case .normal: "random_normal"
        case .uniform: "random_uniform"
        case .whole: "random_whole"
        }
    }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try checkClock(inputs[0], name)
        if case .whole(let limit) = distribution, !(1...(1 << 24)).contains(limit) {
            throw GraphError("random_whole: numbers below \(limit); take 1 to \(1 << 24), which floats hold exactly")
        }
        return [TensorType(shape)]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] { [nil] }
    func commands(_ context: LaunchContext) -> [Command] {
        let count = context.outputs[0].count
        let lanes = context.traits.lanes
        var arguments: [Argument] = [.input(0), .output(0), .int(stream), .int(count)]
        if case .whole(let limit) = distribution { arguments.append(.int(limit)) }
        return [
            context.itemLaunch(
                name, family: "random", items: (count + 63) / 64 * (16 / lanes), size: 4 * lanes,
                arguments: arguments, traffic: Traffic(bytes: 4 * count, flops: 30 * count))
        ]
    }
}

/// Throws unless `type` is that of a clock.
func checkClock(_ type: TensorType, _ name: String) throws {
    guard type == TensorType([4], .uint32) else { throw GraphError("\(name): the clock is \(type), not [4] uint32") }
}

extension Graph {
    /// Independent standard normal numbers, new ones at each step of `clock`.
    public func randomNormal(_ shape: [Int], clock: Tensor) throws -> Tensor {
        try apply(Random(distribution: .normal, shape: shape, stream: nextStream()), clock)[0]
    }

    /// Independent whole numbers of 0 ..< `limit`, each as likely, new ones at each step of `clock`. Floats, which hold them
    /// exactly: times of a diffusion, say.
    public func randomWhole(below limit: Int, _ shape: [Int], clock: Tensor) throws -> Tensor {
        try apply(Random(distribution: .whole(limit: limit), shape: shape, stream: nextStream()), clock)[0]
    }

    /// Independent numbers uniform in [0, 1), new ones at each step of `clock`.
    public func randomUniform(_ shape: [Int], clock: Tensor) throws -> Tensor {
        try apply(Random(distribution: .uniform, shape: shape, stream: nextStream()), clock)[0]
    }
}

/// Where the numbers of a noise come from: tensors on the device, so that a replay draws what it is told without the host.
public struct NoiseSource: Sendable {
    /// Which of a seed's noises: numbers of other streams are independent. The low 16 bits are the round's, so they are 0.
    public var stream: Int
    /// The seed [2] uint32, its low word first.
    public var key: Tensor
    /// Labels [L] int32.
    public var labels: Tensor
    /// Number of the first image of each label, [1] uint32.
    public var firstImage: Tensor
    /// Round or step, [1] uint32, of which the low 16 bits count.
    public var round: Tensor

    public init(stream: Int, key: Tensor, labels: Tensor, firstImage: Tensor, round: Tensor) {
        self.stream = stream
        self.key = key
        self.labels = labels
        self.firstImage = firstImage
        self.round = round
    }
}

/// Random numbers that belong to images: each a function of (seed, image, label, stream + round, element). Inputs: key [2]
/// uint32, labels [L] int32, first image [1] uint32, round [1] uint32. Output [L images, item...].
struct Noise: Operation {
    /// Uniform in [0, 1) instead of standard normal.
    let isUniform: Bool
    let stream: Int
    let images: Int
    let item: [Int]

    var name: String { "random_noise" }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let one = TensorType([1], .uint32)
        guard inputs[0] == TensorType([2], .uint32), inputs[1].element == .int32, inputs[2] == one, inputs[3] == one else {
            throw GraphError(
                "random_noise: key \(inputs[0]), labels \(inputs[1]), first image \(inputs[2]), round \(inputs[3]); [2] uint32, int32, [1] uint32 and [1] uint32 are needed"
            )
        }
        guard (0...LaunchLimits.argument).contains(stream), stream & 0xFFFF == 0 else {
            throw GraphError("random_noise: stream \(stream); take a multiple of 65536 below \(LaunchLimits.argument)")
        }
        try TensorType([images] + item).check("random_noise: images of a label")
        return [TensorType([inputs[1].count * images] + item)]
    }
    func gradient(_ graph: Graph, node: Node, gradients: [Tensor?], needs: [Bool]) throws -> [Tensor?] {
        node.inputs.map { _ in nil }
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (rows, size) = (context.outputs[0].shape[0], item.reduce(1, *))
        return [
            context.runLaunch(
                name, family: "random", rows: rows, width: size,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .int(stream), .int(rows), .int(images), .int(size),
                    .int(isUniform ? 1 : 0),
                ], traffic: Traffic(bytes: 4 * rows * size, flops: 60 * rows * size))
        ]
    }
}

extension Graph {
    /// Standard normal numbers for `images` images of each of the L labels, [L images, item...], labels outermost. A number
    /// depends on the seed, the stream and round, and its own image's label, number and element, on nothing else in the batch.
    public func randomNormal(_ item: [Int], images: Int, of source: NoiseSource) throws -> Tensor {
        try noise(item, images: images, of: source, isUniform: false)
    }

    /// The same of numbers uniform in [0, 1), multiples of 2^-24. Normal and uniform numbers of one stream and round are not
    /// independent.
    public func randomUniform(_ item: [Int], images: Int, of source: NoiseSource) throws -> Tensor {
        try noise(item, images: images, of: source, isUniform: true)
    }

    private func noise(_ item: [Int], images: Int, of source: NoiseSource, isUniform: Bool) throws -> Tensor {
        try apply(
            Noise(isUniform: isUniform, stream: source.stream, images: images, item: item), source.key, source.labels,
            source.firstImage, source.round)[0]
    }
}
