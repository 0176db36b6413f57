import Foundation

/// What drawing images took and where the time went, as text and as JSON.
public struct SamplingReport: Sendable, Encodable {
    public let device: String
    /// PCI address and UUID of the device; nil where its driver says neither.
    public let identity: String?
    public let images: Int
    /// Of all phases; the program's start and the reading of the weights are not in it.
    public let seconds: Double
    /// Without preparing kernels and writing files; images a second are counted by this.
    public let drawingSeconds: Double
    /// By the phase's name.
    public let time: [String: Double]
    public let labelsEncoded: Int
    /// Labels whose conditions came from the cache's file.
    public let labelsRead: Int
    public let cfg: Float
    /// Settings and figures of the speculative loop.
    public let speculation: Speculation?
    public let figures: Figures?
    /// What the passes of a causal model drew.
    public let decoding: DecodingFigures?

    /// Everything the reference reports, over all batches, and each of them.
    public struct Figures: Sendable, Codable {
        public let totalIterations: Int
        public let totalAccepted: Double
        public let totalPositions: Int
        public let acceptanceRate: Double
        public let acceptedShare: Double
        public let endedEarly: Bool
        public let batches: [SpeculativeFigures.Batch]
        public let labels: [SpeculativeFigures.Label]
    }

    public var imagesPerSecond: Double { drawingSeconds > 0 ? Double(images) / drawingSeconds : 0 }

    /// Of what `sampler` has drawn so far: `images` images.
    public init(_ sampler: Sampler, images: Int, cfg: Float, speculation: Speculation? = nil) {
        device = sampler.memory.device.about.name
        identity = sampler.memory.device.about.identity.text
        self.images = images
        self.cfg = cfg
        self.speculation = speculation
        let clock = sampler.clock
        seconds = clock.total
        drawingSeconds = clock.drawing
        time = Dictionary(
            uniqueKeysWithValues: SamplingClock.Phase.allCases.map { ($0.rawValue, clock.seconds($0)) })
        (labelsEncoded, labelsRead) = sampler.labelCounts
        decoding = sampler.decodingFigures
        let figures = sampler.speculativeFigures
        self.figures =
            speculation == nil
            ? nil
            : Figures(
                totalIterations: figures.totalIterations, totalAccepted: figures.totalAccepted,
                totalPositions: figures.totalPositions, acceptanceRate: figures.acceptanceRate,
                acceptedShare: figures.acceptedShare, endedEarly: figures.endedEarly, batches: figures.batches,
                labels: figures.labels)
    }

    /// Indented JSON with sorted keys; `images_per_second` besides what is stored.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        // Broken weights give entropies that are no numbers, of which a report should tell.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try encoder.encode(Document(report: self, imagesPerSecond: imagesPerSecond)) + Data("\n".utf8)
    }

    private struct Document: Encodable {
        let report: SamplingReport
        let imagesPerSecond: Double

        private enum Key: CodingKey { case imagesPerSecond }

        func encode(to encoder: Encoder) throws {
            try report.encode(to: encoder)
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(imagesPerSecond, forKey: .imagesPerSecond)
        }
    }

    /// A few lines: images a second, the phases, and what the speculative loop decided.
    public var lines: [String] {
        let labels =
            "\(labelsEncoded) \(labelsEncoded == 1 ? "label" : "labels") encoded"
            + (labelsRead > 0 ? ", \(labelsRead) from the cache" : "")
        var lines = [
            String(format: "%.1f images/s (%d drawn in %.4f s), ", imagesPerSecond, images, drawingSeconds) + labels
        ]
        let parts = SamplingClock.Phase.allCases.compactMap { phase -> String? in
            guard let part = time[phase.rawValue], part > 0 else { return nil }
            return String(format: "%@ %.1f ms (%.0f %%)", phase.rawValue, part * 1e3, 100 * part / max(seconds, 1e-12))
        }
        lines.append(String(format: "%.3f s: ", seconds) + parts.joined(separator: ", "))
        if let decoding, decoding.accepted.count > 1 {
            let shares = decoding.accepted.enumerated().map { offset, passes in
                String(format: "%d %.0f %%", offset + 1, 100 * Double(passes) / Double(max(decoding.passes, 1)))
            }
            lines.append(
                String(format: "decoding: %.2f tokens a pass over an image; passes by tokens: ", decoding.tokensPerPass)
                    + shares.joined(separator: ", "))
        }
        if let decoding, let acceptance = decoding.acceptance, let distance = decoding.meanDistance {
            lines.append(
                String(format: "guesses: %.1f %% of those checked were right, %.3f off in the mean", 100 * acceptance, distance)
                    + (decoding.correlation.map { String(format: "; draft's entropy and how far off: r = %.2f", $0) } ?? ""))
        }
        guard let figures, let last = figures.batches.last else { return lines }
        lines.append(
            String(
                format: "speculative: %.1f %% of the positions take the draft's features; accepted prefix %.2f of %d, acceptance rate %.4f",
                100 * figures.acceptedShare, figures.totalAccepted / Double(max(figures.totalIterations, 1)),
                last.positions, figures.acceptanceRate))
        lines.append(
            String(
                format: "speculative: %d %@ in %d %@, draft entropy %.4f, tau_global %.4f, tau_context %.4f, %@",
                figures.totalIterations, figures.totalIterations == 1 ? "round" : "rounds", figures.batches.count,
                figures.batches.count == 1 ? "batch" : "batches", last.draftEntropyMean, last.tauGlobal,
                last.tauContext, last.endedEarly ? "ended early" : "not ended early"))
        return lines
    }
}
