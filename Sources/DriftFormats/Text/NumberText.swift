/// Numbers as text for people.
package enum NumberText {
    /// With that many digits after the point.
    package static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        guard scaled < 9e15 else { return "\(value)" }
        let whole = Int(scaled)
        let sign = value < 0 && whole > 0 ? "-" : ""
        if digits == 0 { return sign + String(whole) }
        let fraction = String(whole % Int(scale))
        return sign + String(whole / Int(scale)) + "." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// As `short`, without zeros at the end of a fraction.
    package static func brief(_ value: Double) -> String {
        let parts = short(value).split(separator: "e", maxSplits: 1).map(String.init)
        guard var mantissa = parts.first, mantissa.contains(".") else { return short(value) }
        while mantissa.hasSuffix("0") { mantissa.removeLast() }
        if mantissa.hasSuffix(".") { mantissa.removeLast() }
        return ([mantissa] + parts.dropFirst()).joined(separator: "e")
    }

    /// About four significant digits; very small and very large values with an exponent.
    package static func short(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : fixed(value, 0) }
        let size = abs(value)
        if size >= 1e6 || size < 1e-4 {
            var exponent = 0
            var mantissa = size
            while mantissa >= 10 { mantissa /= 10; exponent += 1 }
            while mantissa < 1 { mantissa *= 10; exponent -= 1 }
            // Rounded to two digits it may be ten.
            if (mantissa * 100).rounded() >= 1000 { mantissa /= 10; exponent += 1 }
            return (value < 0 ? "-" : "") + fixed(mantissa, 2) + "e" + String(exponent)
        }
        return fixed(value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 5)
    }

    /// A part of 1 in hundredths; below ten of them with a digit after the point, below one with two.
    package static func percent(_ part: Double) -> String { fixed(100 * part, part < 0.01 ? 2 : part < 0.1 ? 1 : 0) }

    /// Bytes as 812 bytes, 3.1 MB or 12 GB (powers of ten).
    package static func bytes(_ count: Int) -> String {
        for (unit, size) in [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] where Double(count) >= size {
            let value = Double(count) / size
            return fixed(value, value < 10 ? 1 : 0) + " " + unit
        }
        return "\(count) bytes"
    }

    /// Seconds as 42s, 3m05s, 2h07m or 3d04h.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let total = Int(max(0, seconds).rounded())
        func pair(_ a: Int, _ unitA: String, _ b: Int, _ unitB: String) -> String {
            "\(a)\(unitA)\(b < 10 ? "0" : "")\(b)\(unitB)"
        }
        if total < 60 { return "\(total)s" }
        if total < 3600 { return pair(total / 60, "m", total % 60, "s") }
        if total < 86400 { return pair(total / 3600, "h", total % 3600 / 60, "m") }
        return pair(total / 86400, "d", total % 86400 / 3600, "h")
    }
}

/// A number with its noun, in the plural where it is not 1.
package func counted(_ count: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}
