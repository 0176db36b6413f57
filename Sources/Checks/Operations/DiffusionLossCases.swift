import DriftAR
import DriftGPU
import Foundation

/// The loss of a diffusion by its textbook formulas: a KL divergence of Gaussians at most times, at time 0 the probability of a bin;
/// values in the open bins and probabilities below the floor among them.
enum DiffusionLossCases: OperationCases {
    static let families = [OperationFamily("diffusion_loss", all)]

    /// Every case.
    static let all: [OperationCase] = [
        make([500], 1, 1), make([1, 2, 10, 100, 500, 900], 3, 4), make([999, 998, 997, 750, 1, 250], 6, 16),
        make([0, 0, 0, 0], 2, 5), make([0, 999, 1, 0, 500], 5, 37), make((0..<260).map { Float($0 * 7 % 1000) }, 130, 3),
        make([0, 0, 0], 3, 6, spread: 9, tolerance: 1e-4),
    ]

    /// mse and bound of a value: what it is (x), its noise, and the network's e and v.
    private static func terms(_ x: Double, _ noise: Double, _ e: Double, _ v: Double, _ time: Int) -> (mse: Double, bound: Double) {
        let schedule = DiffusionSchedule.training
        let alphaBar = schedule.alphaBars[time]
        let noisy = alphaBar.squareRoot() * x + (1 - alphaBar).squareRoot() * noise
        func mean(_ clean: Double) -> Double { schedule.shareOfClean(time) * clean + schedule.shareOfNoisy(time) * noisy }
        let own = mean((1 / alphaBar).squareRoot() * noisy - (1 / alphaBar - 1).squareRoot() * e)
        let variance = schedule.logVariances[time]
        let logVariance = (v + 1) / 2 * log(schedule.betas[time]) + (1 - v) / 2 * variance
        let mse = (noise - e) * (noise - e)
        if time > 0 {
            let difference = mean(x) - own
            return (mse, 0.5 * (-1 + logVariance - variance + exp(variance - logVariance) + difference * difference * exp(-logVariance)) / log(2))
        }
        func integral(_ edge: Double) -> Double {
            let z = exp(-logVariance / 2) * (x - own + edge)
            return 0.5 * (1 + tanh((2 / Double.pi).squareRoot() * (z + 0.044715 * z * z * z)))
        }
        let (above, below) = (integral(1.0 / 255), integral(-1.0 / 255))
        let probability = x < -0.999 ? above : x > 0.999 ? 1 - below : above - below
        return (mse, -log2(max(probability, 1e-12)))
    }

    /// Values, and the gradient with respect to the network's output for weights of both, by differences in v alone and e alone:
    /// the bound takes e as a constant.
    private static func make(
        _ times: [Float], _ clean: Int, _ width: Int, spread: Double = 1, tolerance: Double = 2e-5
    ) -> OperationCase {
        let rows = times.count
        return OperationCase(
            name: "\(rows) x \(width) of \(clean) from time \(Int(times[0])), spread \(spread)",
            inputs: [
                .init(shape: [rows, 2 * width], values: .normal(spread), isDifferentiable: false),
                .init(shape: [clean, width], isDifferentiable: false), .init(shape: [rows, width], isDifferentiable: false),
                .init(shape: [rows], values: .floats(times), isDifferentiable: false), .init(shape: [rows], isDifferentiable: false),
                .init(shape: [rows], isDifferentiable: false),
            ],
            build: { graph, x in
                let loss = try graph.diffusionLoss(x[0], x: x[1], noise: x[2], time: x[3], DiffusionCases.table(graph))
                let gradients = try graph.gradients(of: [(loss.mse, x[4]), (loss.bound, x[5])], withRespectTo: [x[0]])
                return [loss.mse, loss.bound] + gradients.compactMap { $0 }
            },
            reference: { x in
                var (mse, bound) = ([Double](repeating: 0, count: rows), [Double](repeating: 0, count: rows))
                var gradient = [Double](repeating: 0, count: x[0].count)
                for row in 0..<rows {
                    for column in 0..<width {
                        let at = row * 2 * width + column
                        let (e, v, time) = (x[0][at], x[0][at + width], Int(x[3][row]))
                        func values(_ e: Double, _ v: Double) -> (mse: Double, bound: Double) {
                            terms(x[1][row % clean * width + column], x[2][row * width + column], e, v, time)
                        }
                        let (own, step) = (values(e, v), 1e-5)
                        mse[row] += own.mse / Double(width)
                        bound[row] += own.bound / Double(width)
                        gradient[at] = x[4][row] * (values(e + step, v).mse - values(e - step, v).mse) / (2 * step) / Double(width)
                        gradient[at + width] = x[5][row] * (values(e, v + step).bound - values(e, v - step).bound) / (2 * step) / Double(width)
                    }
                }
                return [mse, bound, gradient]
            }, tolerance: tolerance)
    }
}
