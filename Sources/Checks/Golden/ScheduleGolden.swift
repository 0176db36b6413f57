import DriftAR
import DriftFormats
import DriftGPU

/// Learning rate, alpha and phase over the epochs.
enum ScheduleGolden {
    static func schedules(_ golden: GoldenCase, _ comparison: GoldenComparison, _ device: Device) throws {
        if golden.has("lr_schedule") {
            let name = try golden.text("lr_schedule")
            guard let kind = OptimizerSettings.Schedule(rawValue: name) else {
                throw ConfigurationError("\(golden.id): unknown schedule \(name)")
            }
            let rate = LearningRate(
                peak: try golden.number("lr"), minimum: try golden.number("min_lr"),
                warmup: try golden.number("warmup_epochs"), total: try golden.number("epochs"), kind: kind)
            try comparison.check("out", "lr_epoch", times(golden, "lr_epoch").map { Float(rate($0)) })
            try comparison.check("out", "lr_quarter", times(golden, "lr_quarter").map { Float(rate($0 / 4)) })
        } else {
            let phases = PhaseSchedule(
                alpha0: try golden.number("alpha_0"), freezeFraction: try golden.number("T_freeze_frac"),
                total: try golden.number("total_epochs"))
            try comparison.check("out", "alpha", times(golden, "alpha").map { Float(phases.alpha($0)) })
            try comparison.check(
                "out", "phase2", integers: times(golden, "phase2").map { phases.isSecondPhase($0) ? 1 : 0 })
        }
    }

    /// 0, 1, 2, ... for every element of the expectation.
    private static func times(_ golden: GoldenCase, _ name: String) throws -> [Double] {
        (0..<(try golden.about("out", name).shape.reduce(1, *))).map(Double.init)
    }
}
