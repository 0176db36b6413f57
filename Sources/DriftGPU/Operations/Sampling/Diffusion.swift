/// What each time of a diffusion means for its training, a row of six numbers a time; the kernels of diffusion.cl say which.
public struct DiffusionTimes: Sendable {
    /// [times, 6].
    public let table: Tensor

    /// Numbers of a row.
    public static let columns = 6

    /// The constant of that name with these rows.
    public init(_ graph: Graph, name: String, rows: [[Float]]) throws {
        guard !rows.isEmpty, rows.allSatisfy({ $0.count == Self.columns }) else {
            throw GraphError("diffusion times \(name): \(rows.count) rows; \(Self.columns) numbers a row are needed")
        }
        table = try graph.constant(name, rows.flatMap { $0 }, [rows.count, Self.columns])
    }

    /// Throws unless a table of times has the rows that the kernels read.
    static func check(_ name: String, _ table: TensorType) throws {
        guard table.rank == 2, table.columns == columns, table.rows > 0 else {
            throw GraphError("\(name): a table of times \(table); [times, \(columns)] is needed")
        }
    }
}

/// sqrt(abar) x + sqrt(1 - abar) noise. Inputs: x [m, C], noise [n, C], time [n], table.
struct DiffusionNoised: Operation {
    var name: String { "diffusion_noised" }
    var inPlace: [(input: Int, output: Int)] { [(1, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        try DiffusionTimes.check(name, inputs[3])
        let (x, noise, time) = (inputs[0], inputs[1], inputs[2])
        guard x.rank == 2, noise.rank == 2, x.columns == noise.columns, time.shape == [noise.rows], x.rows > 0,
            noise.rows.isMultiple(of: x.rows)
        else { throw GraphError("diffusion_noised: x \(x), noise \(noise), time \(time); [m, C], [n, C], [n] are needed, m dividing n") }
        return [noise]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, noise) = (context.inputs[0], context.inputs[1])
        return [
            context.runLaunch(
                name, family: "diffusion", rows: noise.rows, width: noise.columns,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .output(0), .int(noise.rows), .int(x.rows), .int(x.columns),
                    .int(context.inputs[3].rows),
                ], traffic: Traffic(bytes: 8 * noise.count + 4 * x.count, flops: 3 * noise.count))
        ]
    }
}

/// A step back. Inputs: x [n, C], output [n, 2 C], noise [n, C], step [9]; guided: output [2 n, 2 C], and cfg [1] behind the others.
struct DiffusionStep: Operation {
    let temperature: Float
    /// Largest value of a clean token; 0: any.
    let limit: Float

    var name: String { "diffusion_step" }
    var inPlace: [(input: Int, output: Int)] { [(0, 0), (2, 0)] }
    func outputTypes(_ inputs: [TensorType]) throws -> [TensorType] {
        let (x, output, isGuided) = (inputs[0], inputs[1], inputs.count > 4)
        guard x.rank == 2, output.shape == [x.rows * (isGuided ? 2 : 1), 2 * x.columns], inputs[2] == x else {
            throw GraphError("diffusion_step: x \(x), output \(output), noise \(inputs[2]); [n, C], [n, 2 C] (guided [2 n, 2 C]) and [n, C] are needed")
        }
        guard inputs[3].count == DiffusionStepNumbers.count, !isGuided || inputs[4].count == 1 else {
            throw GraphError("diffusion_step: step \(inputs[3]); \(DiffusionStepNumbers.count) numbers are needed, and one for cfg")
        }
        return [x]
    }
    func commands(_ context: LaunchContext) -> [Command] {
        let (x, isGuided) = (context.inputs[0], context.inputs.count > 4)
        return [
            context.runLaunch(
                name, family: "diffusion", rows: x.rows, width: x.columns, indices: context.inputs[1].rows,
                arguments: [
                    .input(0), .input(1), .input(2), .input(3), .input(isGuided ? 4 : 3), .output(0), .int(x.rows), .int(x.columns),
                    .int(isGuided ? 1 : 0), .float(temperature), .float(limit),
                ], traffic: Traffic(bytes: (isGuided ? 24 : 20) * x.count, flops: 30 * x.count))
        ]
    }
}

/// What a step back takes of its schedule.
public struct DiffusionStepNumbers: Sendable {
    /// 1 / sqrt(alpha).
    public var scale: Double
    /// beta / sqrt(1 - abar).
    public var noise: Double
    /// log V, of the variance of the true step back.
    public var logVariance: Double
    /// log(beta / V).
    public var span: Double
    /// Whether nothing random is added.
    public var isLast: Bool
    /// abar, the share of the clean token in the variance before the step.
    public var alphaBar: Double
    /// What the mean of the true step back takes of the clean token and of the noisy one.
    public var shares: (clean: Double, noisy: Double)

    public init(
        scale: Double, noise: Double, logVariance: Double, span: Double, isLast: Bool, alphaBar: Double,
        shares: (clean: Double, noisy: Double)
    ) {
        (self.scale, self.noise, self.logVariance, self.span, self.isLast) = (scale, noise, logVariance, span, isLast)
        (self.alphaBar, self.shares) = (alphaBar, shares)
    }

    /// Numbers of a step.
    public static let count = 9
    /// As the kernel takes them [count].
    public var values: [Float] {
        [
            scale, noise, logVariance, span, isLast ? 0 : 1, (1 / alphaBar).squareRoot(), (1 / alphaBar - 1).squareRoot(), shares.clean,
            shares.noisy,
        ].map { Float($0) }
    }
}

extension Graph {
    /// Tokens with noise as at their times: x [m, C], noise [n, C], time [n] (whole numbers) -> [n, C]. Row r is made of x's row
    /// r % m: x is tiled, whole tile after tile. No gradient.
    public func diffusionNoised(_ x: Tensor, noise: Tensor, time: Tensor, _ times: DiffusionTimes) throws -> Tensor {
        try apply(DiffusionNoised(), x, noise, time, times.table)[0]
    }

    /// One step of a diffusion's sampler: x [n, C], the network's `output` for it [n, 2 C] (noise, then the number of the
    /// variance), standard normal `noise` [n, C], `step` [9] (`DiffusionStepNumbers.values`) -> the next x. With `cfg` [1] the output
    /// is [2 n, 2 C], rows of no label behind the others, and the noise is guided. `temperature`: factor of what is random. `limit`:
    /// no clean token is believed to have larger values; 0: no limit.
    public func diffusionStep(
        _ x: Tensor, output: Tensor, noise: Tensor, step: Tensor, cfg: Tensor? = nil, temperature: Float = 1, limit: Float = 0
    ) throws -> Tensor {
        guard limit >= 0 else { throw GraphError("diffusion_step: limit \(limit); take 0 (none) or more") }
        return try apply(DiffusionStep(temperature: temperature, limit: limit), [x, output, noise, step] + (cfg.map { [$0] } ?? []))[0]
    }
}
