import Foundation

/// How the tokens of an image are drawn in rounds, those of a round from all that came before (MAR, 3.3).
public struct RoundSettings: Sendable, Hashable {
    /// How the strength of guidance goes over the rounds.
    public enum Guidance: String, Codable, Sendable, CaseIterable {
        /// From nearly none to all of it, with the part of the tokens that are known after the round.
        case linear
        /// From all of it to nearly none (NextStep-1's "linear").
        case falling
        case constant
    }

    /// Which of the hidden tokens a round draws.
    public enum Order: String, Codable, Sendable, CaseIterable {
        /// Those that come next in a random order of the image.
        case random
        /// Those whose attention has the least entropy.
        case entropy
    }

    /// T.
    package var rounds: Int
    package var guidance = Guidance.linear
    /// Factor of what is random in a token beside the noise it starts from.
    package var temperature: Float = 1
    package var order = Order.random

    package init(rounds: Int, guidance: Guidance = .linear, temperature: Float = 1, order: Order = .random) {
        (self.rounds, self.guidance, self.temperature, self.order) = (rounds, guidance, temperature, order)
    }

    /// A round of an image of R tokens.
    package struct Round: Sendable, Hashable {
        /// Where tokens that are known stand in the image's order: at its end.
        package let known: Range<Int>
        /// Where those stand that the round draws: before them.
        package let drawn: Range<Int>

        /// Whether some tokens are still hidden after the round, so that it matters which it draws.
        package var leaves: Bool { drawn.lowerBound > 0 }
    }

    /// The rounds of an image of so many tokens; each draws one token or more. After round k of T, floor(R cos(pi/2 (k+1)/T)) are
    /// unknown, but one fewer than before, and one until the last round.
    package func plan(tokens: Int) -> [Round] {
        var unknown = tokens
        return (0..<rounds).map { round in
            let isLast = round == rounds - 1
            let aim = Int((Double(tokens) * cos(Double.pi / 2 * Double(round + 1) / Double(rounds))).rounded(.down))
            let left = isLast ? 0 : max(1, min(unknown - 1, aim))
            defer { unknown = left }
            return Round(known: unknown..<tokens, drawn: left..<unknown)
        }
    }

    /// The strength of guidance in each of the rounds.
    package func strengths(_ cfg: Float, tokens: Int) -> [Float] {
        plan(tokens: tokens).map { round in
            switch guidance {
            case .constant: return cfg
            case .falling: return 1 + (cfg - 1) * Float(round.drawn.upperBound) / Float(tokens)
            case .linear:
                // In the last round the reference counts one token as unknown.
                let unknown = max(1, round.drawn.lowerBound)
                return 1 + (cfg - 1) * Float(tokens - unknown) / Float(tokens)
            }
        }
    }
}
