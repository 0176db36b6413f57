extension String {
    /// The text as one word of a shell's command line: in quotes where it holds more than letters, digits and a few signs.
    package var shellQuoted: String {
        let plain = !isEmpty && unicodeScalars.allSatisfy { scalar in
            scalar.value >= 0x80 ? scalar.properties.isAlphabetic : scalar.properties.isAlphabetic || "0123456789_@%+=:,./-".unicodeScalars.contains(scalar)
        }
        return plain ? self : "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
