import DriftFormats
import Foundation

/// The range an axis shows, and the values its ticks stand at.
package struct Ticks: Sendable, Equatable {
    package let values: [Double]
    /// A label for each value; empty where it has none.
    package let labels: [String]

    /// At most about `count` ticks at multiples of 1, 2 or 5 times a power of ten, within the range.
    package static func linear(_ low: Double, _ high: Double, count: Int = 6) -> Ticks {
        guard low.isFinite, high.isFinite, high > low else { return Ticks(values: [low], labels: [NumberText.short(low)]) }
        let step = niceStep((high - low) / Double(max(1, count)))
        let slack = step * 1e-6
        let first = ((low - slack) / step).rounded(.up)
        let last = ((high + slack) / step).rounded(.down)
        guard last >= first, last - first < 1000, abs(first) < 1e12 else { return Ticks(values: [low, high], labels: [low, high].map(NumberText.short)) }
        // Counted, not added up: the tick at zero is exactly zero.
        let values = (0...Int(last - first)).map { (first + Double($0)) * step }
        return Ticks(values: values, labels: values.map { label($0, step: step, largest: max(abs(low), abs(high))) })
    }

    /// Powers of ten within the range; 2 and 5 times them, too, where the range is short, and unlabelled ones between.
    static func logarithmic(_ low: Double, _ high: Double) -> Ticks {
        guard low > 0, low.isFinite, high.isFinite, high > low else { return linear(low, high) }
        let (first, last) = (Int(log10(low).rounded(.down)), Int(log10(high).rounded(.up)))
        let decades = log10(high) - log10(low)
        let stride = max(1, Int((decades / 7).rounded(.up)))
        let labelled: [Double] = decades > 3.2 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5, 7]
        var values: [Double] = []
        var labels: [String] = []
        for exponent in first...last {
            for factor in 1...9 {
                let value = Double(factor) * pow(10, Double(exponent))
                guard value >= low * (1 - 1e-9), value <= high * (1 + 1e-9) else { continue }
                let isShown = labelled.contains(Double(factor)) && (factor > 1 || (exponent - first) % stride == 0)
                guard isShown || stride == 1 else { continue }
                values.append(value)
                labels.append(isShown ? power(factor, exponent) : "")
            }
        }
        guard labels.filter({ !$0.isEmpty }).count >= 2 else { return linear(low, high, count: 5) }
        return Ticks(values: values, labels: labels)
    }

    /// The least of 1, 2, 5 and 10 times a power of ten that is `step` or more.
    static func niceStep(_ step: Double) -> Double {
        let power = pow(10, log10(step).rounded(.down))
        let factor = step / power
        return power * (factor <= 1.000001 ? 1 : factor <= 2.000001 ? 2 : factor <= 5.000001 ? 5 : 10)
    }

    private static func label(_ value: Double, step: Double, largest: Double) -> String {
        if value == 0 { return "0" }
        guard largest < 1e6, step >= 1e-5 else { return compact(value) }
        let digits = max(0, -Int(log10(step * 1.000001).rounded(.down)))
        return NumberText.fixed(value, digits)
    }

    private static func power(_ factor: Int, _ exponent: Int) -> String {
        if exponent >= 0, exponent < 5 { return NumberText.fixed(Double(factor) * pow(10, Double(exponent)), 0) }
        if exponent < 0, exponent > -4 { return NumberText.fixed(Double(factor) * pow(10, Double(exponent)), -exponent) }
        return "\(factor)e\(exponent)"
    }

    /// With an exponent and no zeros that say nothing.
    private static func compact(_ value: Double) -> String {
        let exponent = Int(log10(abs(value) * 1.000001).rounded(.down))
        var mantissa = NumberText.fixed(value / pow(10, Double(exponent)), 2)
        while mantissa.hasSuffix("0"), mantissa.contains(".") { mantissa.removeLast() }
        if mantissa.hasSuffix(".") { mantissa.removeLast() }
        return mantissa + "e\(exponent)"
    }
}
