import DriftFormats
import DriftReport

/// The figures of a run's curves; what was not logged has none.
struct CurveFigures: Sendable {
    let figures: [NamedFigure]
    /// The step after which the encoder is frozen, where the run has come that far.
    let freeze: Double?
    /// Whether the run logged forces of a drift loss.
    let hasForces: Bool

    init(_ curves: TrainingCurves, _ configuration: Configuration?) {
        let last = Double(curves.steps.last ?? 0)
        let boundary = configuration.flatMap { $0.stage.own.phases(steps: $0.run.steps)?.freeze }
        let freeze = boundary.flatMap { $0 > 0 && $0 < last ? $0 : nil }
        self.freeze = freeze

        func figure(
            _ name: String, _ title: String, _ unit: String, _ curve: [(key: String, label: String)], isLogarithmic: Bool = false,
            bound: Double? = nil, caption: String
        ) -> NamedFigure? {
            let series = curve.enumerated().compactMap { index, item -> Plot.Series? in
                let points = curves.points(item.key)
                guard points.contains(where: { $0.y.isFinite }) else { return nil }
                return Plot.Series(curve.count > 1 ? item.label : "", color: index, .line(points))
            }
            guard !series.isEmpty else { return nil }
            let plot = Plot(
                title, x: Plot.Axis("step"), y: Plot.Axis(unit, isLogarithmic: isLogarithmic), series: series,
                rules: (freeze.map { [Plot.Rule(value: $0, text: "phase II")] } ?? [])
                    + (bound.map { [Plot.Rule(value: $0, text: "ceiling of E", direction: .horizontal)] } ?? []))
            return NamedFigure(name: name, caption: caption, figure: plot)
        }

        // Position 1, whose entropy is 0, is a part of the logged means; where all rows see all columns there is none of the kind.
        let isMasked = (try? configuration?.makeGenerator())?.stage.masking != nil
        let ceiling = configuration.map { isMasked ? 1 : Double($0.data.tokens - 1) / Double(max(1, $0.data.tokens)) }
        let included = isMasked
            ? "It is that of the hidden tokens, so it moves with how many a step hides."
            : "Position 1 with its entropy of 0 is a part of the mean"
                + (ceiling.map { ", so the ceiling is \(NumberText.fixed($0, 4)) and not 1." } ?? ".")
        let forces = curves.names.filter { $0.hasPrefix("force_") }.map { (key: $0, label: "radius " + $0.dropFirst(6)) }
        hasForces = !forces.isEmpty
        let judged = ["accuracy", "diversity"].filter { !curves.points($0).isEmpty }
        figures = [
            figure(
                "force", "Drift norm", "mean squared force before scaling", forces, isLogarithmic: true,
                caption: "The raw force of each radius. It falls as the generated images come nearer to the real ones: this, and not the drift loss, shows convergence."),
            figure(
                "scale", "Scale", "mean distance", [("scale", "scale")],
                caption: "The mean distance by which the drift loss divides all distances before the radii apply."),
            figure(
                "loss", "Loss and drift loss", "loss", [("loss", "loss (weighted sum)"), ("drift", "drift loss")],
                caption: "The force of each radius is scaled to unit size before it enters the drift loss, so its value says nothing about convergence. The sum changes with alpha, too."),
            figure(
                "regression", "Draft regression loss", "smooth L1", [("regression", "")], isLogarithmic: true,
                caption: "How well the draft model predicts z. The draft is trained in phase I alone."),
            figure(
                "entropy_loss", "Entropy loss", "minus the mean entropy", [("entropy_loss", "")], bound: ceiling.map { -$0 },
                caption: "It pushes the entropy to its ceiling: the lower it is, the nearer all positions are to E = 1. " + included),
            figure(
                "entropy_training", "Mean entropy while training", "entropy E", [("entropy", "")], bound: ceiling,
                caption: "The mean of E over positions and \(isMasked ? "images" : "labels"); at its ceiling every position has the same, largest noise in the prior. " + included),
            figure(
                "gradient_norm", "Gradient norm", "global norm before clipping", [("gradient_norm", "")], isLogarithmic: true,
                caption: "A jump at the phase boundary is no error: fewer parameters have gradients in phase II."),
            figure(
                "learning_rate", "Learning rate", "learning rate", [("lr", "")], caption: "As scheduled: warm-up, then the configured course."),
            figure(
                "alpha", "Alpha", "weight of regression and entropy losses", [("alpha", "")],
                caption: "The drift loss has the weight 1 − alpha."),
            figure(
                "data_wait", "Waiting for data", "milliseconds a step", [("data_wait", "")],
                caption: "How long a step waited for its images, in the mean since the line before."),
            figure(
                "evaluation", "Samples judged while training", "accuracy and diversity", judged.map { ($0, $0) },
                caption: "Part of the samples whose nearest real image has their label, and diversity within a class over that of real images."),
        ].compactMap(\.self)
    }
}
