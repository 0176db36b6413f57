import DriftGPU
import Foundation

/// A cosine schedule of noise (Nichol and Dhariwal), whole or with fewer steps. In double precision: abar spans nine powers of ten.
package struct DiffusionSchedule: Sendable {
    /// Steps that training knows.
    package static let trainingSteps = 1000

    /// The time of each step among those of training, ascending.
    package let times: [Int]
    package let betas: [Double]
    /// abar, the product of all 1 - beta so far.
    package let alphaBars: [Double]
    /// log V, the variance of the true step back; that of the first step, which is 0, is replaced by the second's.
    package let logVariances: [Double]

    /// Every step of training.
    package static let training = DiffusionSchedule(times: Array(0..<trainingSteps), betas: (0..<trainingSteps).map { step in
        func alphaBar(_ u: Double) -> Double { pow(cos((u + 0.008) / 1.008 * .pi / 2), 2) }
        let count = Double(trainingSteps)
        return min(1 - alphaBar(Double(step + 1) / count) / alphaBar(Double(step) / count), 0.999)
    })

    /// `steps` of those of training, 2 to 1000 of them, from the first to the last as evenly as whole times can lie.
    package init(steps: Int) {
        let whole = Self.training
        let stride = Double(Self.trainingSteps - 1) / Double(max(steps, 2) - 1)
        // The running sum and the rounding of halves to even are the reference's: products put some times elsewhere.
        var place = 0.0
        let times = (0..<max(steps, 2)).map { _ in
            defer { place += stride }
            return Int(place.rounded(.toNearestOrEven))
        }
        var before = 1.0
        let betas = times.map { time in
            defer { before = whole.alphaBars[time] }
            return 1 - whole.alphaBars[time] / before
        }
        self.init(times: times, betas: betas)
    }

    private init(times: [Int], betas: [Double]) {
        (self.times, self.betas) = (times, betas)
        var product = 1.0
        let alphaBars = betas.map { beta in
            product *= 1 - beta
            return product
        }
        self.alphaBars = alphaBars
        var variances = betas.indices.map { betas[$0] * (1 - ($0 > 0 ? alphaBars[$0 - 1] : 1)) / (1 - alphaBars[$0]) }
        variances[0] = variances[1]
        logVariances = variances.map { log($0) }
    }

    private func alphaBarBefore(_ step: Int) -> Double { step > 0 ? alphaBars[step - 1] : 1 }

    /// What the mean of the true step back takes of the clean token.
    package func shareOfClean(_ step: Int) -> Double { betas[step] * alphaBarBefore(step).squareRoot() / (1 - alphaBars[step]) }

    /// What it takes of the noisy one.
    package func shareOfNoisy(_ step: Int) -> Double {
        (1 - alphaBarBefore(step)) * (1 - betas[step]).squareRoot() / (1 - alphaBars[step])
    }

    /// A row for each step, as `DiffusionTimes` takes them.
    package var rows: [[Float]] {
        times.indices.map { step in
            let (alphaBar, before) = (alphaBars[step], alphaBarBefore(step))
            // By how much a wrong noise makes the mean wrong, squared, over V. The first step has another loss.
            let weight = step > 0 ? betas[step] * before / (alphaBar * (1 - before)) : 0
            return [
                alphaBar.squareRoot(), (1 - alphaBar).squareRoot(), log(betas[step]) - logVariances[step], weight,
                (1 / alphaBar - 1).squareRoot(), logVariances[step],
            ].map { Float($0) }
        }
    }

    /// What the sampler's step back from step `step` takes.
    package func numbers(_ step: Int) -> DiffusionStepNumbers {
        DiffusionStepNumbers(
            scale: 1 / (1 - betas[step]).squareRoot(), noise: betas[step] / (1 - alphaBars[step]).squareRoot(),
            logVariance: logVariances[step], span: log(betas[step]) - logVariances[step], isLast: step == 0,
            alphaBar: alphaBars[step], shares: (shareOfClean(step), shareOfNoisy(step)))
    }
}
