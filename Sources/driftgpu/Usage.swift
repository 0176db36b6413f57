import ArgumentParser

/// What is said about a command line that cannot be understood.
enum Usage {
    /// The arguments with `--option -1` written as `--option=-1`: no option of ours is called like a number, so what looks like
    /// one is a value.
    static func joined(_ arguments: [String]) -> [String] {
        var result: [String] = []
        for argument in arguments {
            if let option = result.last, option.hasPrefix("--"), option.count > 2, !option.contains("="),
                argument.hasPrefix("-"), argument.dropFirst().first.map({ $0.isNumber || $0 == "." }) == true || argument == "-inf"
            {
                result[result.count - 1] = option + "=" + argument
            } else {
                result.append(argument)
            }
        }
        return result
    }

    /// One line: what is wrong, what is allowed, and where more is said.
    static func line(_ message: String, _ arguments: [String], of commands: [any ParsableCommand.Type]) -> String {
        var text = ""
        for line in message.split(whereSeparator: \.isNewline).map({ $0.drop { $0 == " " } }) {
            // Many values come as a list, a line each.
            let isItem = line.hasPrefix("- ")
            text += (text.isEmpty ? "" : isItem && !text.hasSuffix(":") ? ", " : " ") + (isItem ? line.dropFirst(2) : line)
        }
        if text.hasPrefix("The value"), text.hasSuffix(">'"), let open = text.lastIndex(of: "<"),
            let allowed = allowed[String(text[text.index(after: open)...].dropLast(2))]
        {
            text += ": take " + allowed
        }
        while text.hasSuffix(".") { text.removeLast() }
        let names = commands.compactMap { $0.configuration.commandName ?? "\($0)".lowercased() }
        let command = arguments.first.flatMap { names.contains($0) ? " " + $0 : nil } ?? ""
        return text + "; see driftgpu help" + command
    }

    /// What an option takes, by the name its value has in the help.
    private static let allowed: [String: String] = {
        let whole = "a whole number"
        let number = "a number"
        var allowed = [
            "n": whole, "x": number, "p": "a number from 0 to 1", "bool": "true or false",
            "cfg": number, "seconds": number,
        ]
        for name in ["seed", "vae-seed"] { allowed[name] = "a whole number from 0 to \(UInt64.max)" }
        for name in ["per-label", "steps", "points"] { allowed[name] = whole }
        return allowed
    }()
}
