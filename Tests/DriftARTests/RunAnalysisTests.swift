import DriftGPU
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct RunAnalysisTests {
    /// The fields of a table without quotes.
    private func table(_ path: String) throws -> [[String]] {
        let text = String(decoding: try Files.read(path), as: UTF8.self)
        #expect(text.hasSuffix("\r\n"))
        return text.components(separatedBy: "\r\n").dropLast().map { $0.components(separatedBy: ",") }
    }

    @Test("the tables of a run say what the model says; the page needs nothing else")
    func wholeAnalysis() throws {
        let folder = try TestFolder()
        let run = folder.file("a<b>&\"c'")
        try TestDevice.with(.cpu16) { device in
            _ = try TinyRun.pixels.run(run, device) { $0.stage.label?.draftShift = 1 }
            let analysis = try RunAnalysis(run)
            let saved = try #require(analysis.model)
            let lines = try analysis.write(ModelDiagnostics(saved, device: device, .init(labels: [3, 0, 9], perLabel: 2, seed: 5)))
            #expect(lines.count == 3 && lines[0] == "6 logged steps, the last is 6", "\(lines)")
            try checkTables(run + "/analysis", saved, device)
            try checkPage(run + "/analysis")
            // The same once more, to the bit.
            let again = try RunAnalysis(run, output: folder.file("again"))
            _ = try again.write(ModelDiagnostics(saved, device: device, .init(labels: [3, 0, 9], perLabel: 2, seed: 5)))
            for name in try Files.names(in: folder.file("again")) {
                #expect(try Files.read(folder.file("again/" + name)) == Files.read(run + "/analysis/" + name), "\(name)")
            }
        }
    }

    private func checkTables(_ path: String, _ saved: SavedModel, _ device: Device) throws {
        let state = try saved.load(into: DeviceMemory(device))
        let sampler = Sampler(state.model, memory: state.memory)
        let rows = try table(path + "/entropy.csv").dropFirst()
        #expect(rows.count == 4 * 16 && rows.last?[0] == "unconditional")
        var pairs: [(entropy: Double, error: Double)] = []
        for row in rows {
            let position = try #require(Int(row[1]))
            let condition = try sampler.condition(Int(row[0]))
            let (entropy, error) = (try #require(Double(row[2])), Double(row[8]))
            #expect(abs(entropy - Double(condition.entropy[position - 1])) < 1e-6)
            // Position 1 has no proposal where the draft is shifted by one.
            #expect((position == 1) == row[8].isEmpty)
            if position > 1, Int(row[0]) != nil { pairs.append((entropy, try #require(error))) }
        }
        let summary = Dictionary(uniqueKeysWithValues: try table(path + "/summary.csv").dropFirst().map { ($0[0], Double($0[1])) })
        #expect(summary["pairs"] == 45 && summary["labels"] == 3 && summary["positions"] == 15)
        let mean = pairs.reduce(0) { $0 + $1.entropy } / 45
        let tabled = try #require(summary["target_entropy_mean"] ?? nil)
        #expect(abs(tabled - mean) < 1e-12)
        let atCeiling = Double(pairs.filter { $0.entropy >= 0.99 }.count) / 45
        #expect(summary["target_at_ceiling"] == atCeiling)
        // r by the sums' formula, from the numbers in the table.
        let (x, y) = (pairs.map(\.entropy), pairs.map(\.error))
        func sum(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        let ones = [Double](repeating: 1, count: 45)
        let r = (45 * sum(x, y) - sum(x, ones) * sum(y, ones))
            / ((45 * sum(x, x) - sum(x, ones) * sum(x, ones)) * (45 * sum(y, y) - sum(y, ones) * sum(y, ones))).squareRoot()
        let pearson = try #require(summary["pearson_target_error"] ?? nil)
        #expect(abs(pearson - r) < 1e-5)
        let counted = try table(path + "/entropy_histogram.csv").dropFirst().reduce(0) { $0 + (Int($1[2]) ?? 0) }
        #expect(counted == 45)
        let bins = try table(path + "/entropy_error_bins.csv").dropFirst()
        #expect(bins.filter { $0[0] == "absolute" }.reduce(0) { $0 + (Int($1[3]) ?? 0) } == 45)
        let metrics = try table(path + "/metrics.csv")
        let logged = try Files.read(path + "/../metrics.jsonl").split(separator: UInt8(ascii: "\n")).map { try JSON.parse($0) }
        #expect(metrics.count == 7 && logged.count == 6)
        let column = try #require(metrics[0].firstIndex(of: "force_0.05"))
        #expect(metrics.dropFirst().map { Double($0[column]) } == logged.map { $0["force_0.05"]?.double })
    }

    private func checkPage(_ path: String) throws {
        let bytes = try Files.read(path + "/report.html")
        let page = try #require(String(validating: bytes, as: UTF8.self))
        #expect(page.contains("<h1>a&lt;b&gt;&amp;&quot;c&#39;</h1>") && !page.contains("a<b>"))
        // 16 tokens, of which the first has no entropy.
        #expect(page.contains("so the ceiling is 0.9375 and not 1"))
        for foreign in ["http", "//", "<script", "<link", "@import", "url("] {
            // Base64 has slashes.
            let text = page.replacing(/base64,[A-Za-z0-9+\/=]+/, with: "base64,")
            #expect(!text.contains(foreign), "\(foreign)")
        }
        let names = try Files.names(in: path)
        #expect(names.filter { $0.hasSuffix(".svg") }.count >= 12)
        for name in names where name != "report.html" {
            #expect(page.contains("<a href=\"\(name)\">"), "\(name)")
            guard name.hasSuffix(".svg") else { continue }
            let text = String(decoding: try Files.read(path + "/" + name), as: UTF8.self)
            #expect(try PlotTests.Document(text).elements.count > 20, "\(name)")
            // The figure beside the page is that on the page.
            let drawing = try #require(text.components(separatedBy: "</style>").last)
            #expect(page.contains(drawing.trimmingCharacters(in: .whitespacesAndNewlines)), "\(name)")
        }
        #expect(page.components(separatedBy: "<figure").count == page.components(separatedBy: "<svg class").count)
    }

    @Test("a model that has diverged, or has one token, is analysed like any other")
    func strangeModels() throws {
        let folder = try TestFolder()
        try TestDevice.with(.cpu16) { device in
            _ = try TinyRun.pixels.run(folder.file("run"), device) { $0.run.steps = 1 }
            let file = try SavedModel(folder.file("run")).file
            var tensors: [String: NamedTensor] = [:]
            for (name, entry) in file.entries {
                let tensor = try file.tensor(name)
                tensors[name] = try NamedTensor(shape: entry.shape, floats: [Float](repeating: .nan, count: tensor.count))
            }
            try SafeTensors.write(tensors, metadata: file.metadata, to: folder.file("nan.safetensors"))
            let diverged = try ModelDiagnostics(SavedModel(folder.file("nan.safetensors")), device: device)
            _ = try RunAnalysis(folder.file("run"), output: folder.file("nan")).write(diverged)
            #expect(try folder.text("nan/summary.csv").contains("pearson_target_error,\r\n"))
            #expect(try folder.text("nan/report.html").contains("r is undefined over n = 0 pairs"))

            _ = try TinyRun.pixels.run(folder.file("one"), device) { ($0.run.steps, $0.data.patch) = (1, 8) }
            let one = try RunAnalysis(folder.file("one"))
            let lines = try one.write(ModelDiagnostics(SavedModel(folder.file("one")), device: device, .init(perLabel: 1)))
            #expect(lines.last?.contains("n = 0") == true, "\(lines)")
        }
    }

    @Test("a run that has less is analysed as far as it goes, and the page says what is missing")
    func incomplete() throws {
        let folder = try TestFolder()
        func message(_ run: String) -> String { errorText { _ = try RunAnalysis(folder.file(run)) } ?? "" }
        #expect(message("none").contains("none: no such folder"))
        try folder.write("", to: "file")
        #expect(message("file").contains("file: not a folder"))
        try Files.makeFolder(folder.file("run"))
        #expect(message("run").contains("nothing to analyse"))
        try folder.write("", to: "run/metrics.jsonl")
        #expect(message("run").contains("nothing to analyse") && !Files.exists(folder.file("run/analysis")))
        try folder.write("{\"step\":1,\"loss\":2}\n{\"step\":2,\"lo", to: "run/metrics.jsonl")
        let analysis = try RunAnalysis(folder.file("run"))
        #expect(analysis.model == nil)
        #expect(try analysis.write(nil) == ["1 logged steps, the last is 1", "no entropies: the run has no complete checkpoint yet"])
        #expect(try folder.text("run/analysis/report.html").contains("no complete checkpoint yet"))
        #expect(try Files.names(in: folder.file("run/analysis")) == ["loss.svg", "metrics.csv", "report.html"])
        try folder.write("{\"step\":1,\"loss\":2}\nrubbish\n", to: "run/metrics.jsonl")
        #expect(message("run").contains("metrics.jsonl: line 2"))
        try folder.write("{", to: "run/config.json")
        try folder.write("{\"step\":1,\"loss\":2}\n", to: "run/metrics.jsonl")
        #expect(message("run").contains("config.json"))
    }

    @Test("a run of another model has curves and no entropies")
    func otherModel() throws {
        let folder = try TestFolder()
        let run = folder.file("run")
        try TestDevice.with(.cpu16) { device in
            _ = try TinyRun.dit.run(run, device) { $0.run.steps = 1 }
            let analysis = try RunAnalysis(run)
            #expect(analysis.model == nil)
            #expect(try analysis.write(nil).last == "no entropies: no entropy sets the prior of its images")
        }
    }

    @Test("a run that draws in rounds: errors of drawn tokens, and what each round finds", arguments: [Configuration.Model.marDrift, .marEnergy])
    func rounds(_ model: Configuration.Model) throws {
        let folder = try TestFolder()
        let run = folder.file("run")
        try TestDevice.with(.cpu16) { device in
            _ = try TinyRun.pixels.run(run, device) { configuration in
                configuration.adopt(model)
                (configuration.network.dropout, configuration.run.steps) = (0, 2)
                configuration.stage.mar?.rounds = 5
                configuration.stage.mar?.order = .entropy
            }
            let analysis = try RunAnalysis(run)
            let settings = ModelDiagnostics.Settings(labels: [3, 0], perLabel: 2, seed: 5)
            let found = try #require(try analysis.diagnose(on: device, settings) as? MaskedDiagnostics)
            let lines = try analysis.write(found)
            #expect(lines.last?.hasPrefix("Entropy against error of drawn tokens: Pearson r = ") == true && lines.count == 2, "\(lines)")
            let path = run + "/analysis"
            try checkHidden(path, found)
            try checkRounds(path, found)
            let sigma = model == .marDrift
            let names = try Files.names(in: path)
            let expected = ["entropy_error", "entropy_error_shares", "entropy_histogram", "entropy_rounds"]
                + (sigma ? ["entropy_training", "sigma_rounds"] : [])
            #expect(names.filter { $0.hasSuffix(".svg") && ($0.hasPrefix("entropy") || $0.hasPrefix("sigma")) } == expected.map { $0 + ".svg" })
            let page = try folder.text("run/analysis/report.html")
            for name in names where name != "report.html" {
                #expect(page.contains("<a href=\"\(name)\">"), "\(name)")
                if name.hasSuffix(".svg") { _ = try PlotTests.Document(String(decoding: Files.read(path + "/" + name), as: UTF8.self)) }
            }
            // Without images the rounds are left.
            let bare = try MaskedDiagnostics(SavedModel(run), device: device, images: nil, source: "the data are gone", settings)
            let other = try RunAnalysis(run, output: folder.file("bare"))
            #expect(try other.write(bare).last == "no errors of drawn tokens: the data are gone")
            #expect(try Files.read(folder.file("bare/rounds.csv")) == Files.read(path + "/rounds.csv"))
            #expect(try folder.text("bare/summary.csv").contains("pearson_error,\r\n"))
            #expect(errorText { _ = try analysis.diagnose(on: device, data: folder.file("none"), settings) }?.contains("none: no such file") == true)
        }
    }

    /// The table of hidden tokens, and the summary's r from it by the sums' formula.
    private func checkHidden(_ path: String, _ found: MaskedDiagnostics) throws {
        let heldOut = try DataSource.open(found.configuration).heldOut
        let rows = try table(path + "/entropy.csv").dropFirst()
        let images = [3, 0].reduce(0) { $0 + heldOut.index.members[$1].count }
        #expect(found.hidden == [16, 12, 8, 4] && images > 50 && rows.count == images * (16 + 12 + 8 + 4))
        let summary = Dictionary(uniqueKeysWithValues: try table(path + "/summary.csv").dropFirst().map { ($0[0], Double($0[1])) })
        for (name, hidden) in [("pearson_error", nil), ("pearson_error_16_hidden", "16"), ("pearson_error_4_hidden", "4")] {
            let part = rows.filter { hidden == nil || $0[2] == hidden }
            let (x, y) = (part.compactMap { Double($0[4]) }, part.compactMap { Double($0[6]) })
            #expect(x.count == part.count && y.count == part.count && y.allSatisfy { $0 > 0 })
            let n = Double(x.count)
            let (mx, my) = (x.reduce(0, +) / n, y.reduce(0, +) / n)
            func sum(_ values: some Sequence<Double>) -> Double { values.reduce(0, +) }
            let r = sum(zip(x, y).map { ($0 - mx) * ($1 - my) })
                / (sum(x.map { ($0 - mx) * ($0 - mx) }) * sum(y.map { ($0 - my) * ($0 - my) })).squareRoot()
            let told = try #require(summary[name] ?? nil)
            #expect(abs(told - r) < 1e-9, "\(name)")
        }
        for row in rows {
            let entropy = try #require(Double(row[4]))
            #expect(Double(row[5]) == found.sigma?.deviation(entropy))
        }
        let bins = try table(path + "/entropy_error_bins.csv").dropFirst()
        #expect(bins.filter { $0[0] == "all" }.reduce(0) { $0 + (Int($1[3]) ?? 0) } == rows.count)
    }

    /// The table of rounds: what is hidden becomes less by what was drawn, those of least entropy.
    private func checkRounds(_ path: String, _ found: MaskedDiagnostics) throws {
        let rows = try table(path + "/rounds.csv").dropFirst()
        for label in ["3", "0"] {
            for image in ["0", "1"] {
                var hidden = Set((1...16).map(String.init))
                for (number, round) in RoundSettings(rounds: 5).plan(tokens: 16).enumerated() {
                    let part = rows.filter { $0[0] == label && $0[1] == image && $0[2] == String(number + 1) }
                    #expect(Set(part.map { $0[3] }) == hidden && part.count == round.drawn.upperBound)
                    let drawn = part.filter { $0[6] == "1" }
                    #expect(drawn.count == round.drawn.count)
                    let (most, least) = (drawn.compactMap { Double($0[4]) }.max(), part.filter { $0[6] == "0" }.compactMap { Double($0[4]) }.min())
                    if let most, let least { #expect(most <= least) }
                    hidden.subtract(drawn.map { $0[3] })
                }
                #expect(hidden.isEmpty)
            }
        }
        let counted = try table(path + "/entropy_histogram.csv").dropFirst().reduce(0) { $0 + (Int($1[2]) ?? 0) }
        #expect(counted == 4 * 16)
    }

    @Test("a run of a causal model: errors of drawn tokens, and of a draft's guesses", arguments: [Configuration.Model.causalDrift, .causal])
    func tokens(_ model: Configuration.Model) throws {
        let folder = try TestFolder()
        let run = folder.file("run")
        try TestDevice.with(.cpu16) { device in
            _ = try TinyRun.pixels.run(run, device) { configuration in
                configuration.adopt(model)
                (configuration.network.dropout, configuration.run.steps) = (0, 2)
                configuration.stage.causal?.draftDepth = 1
                configuration.stage.causal?.tokenNorm = .sphere
                configuration.head.flow?.steps = 3
            }
            let analysis = try RunAnalysis(run)
            let settings = ModelDiagnostics.Settings(labels: [3, 0], perLabel: 2, seed: 5)
            let found = try #require(try analysis.diagnose(on: device, settings) as? CausalDiagnostics)
            let lines = try analysis.write(found)
            let draws = model == .causalDrift
            #expect(lines.count == (draws ? 3 : 2) && lines[1].hasPrefix(draws ? "Entropy against error of drawn tokens: Pearson r = " : "no errors of drawn tokens: the head draws"), "\(lines)")
            let path = run + "/analysis"
            let names = try Files.names(in: path).filter { $0.hasSuffix(".svg") }
            let expected = ["entropy_histogram", "positions"] + (draws ? ["draft_acceptance", "draft_distance", "entropy_error"] : [])
            #expect(expected.allSatisfy { names.contains($0 + ".svg") }, "\(names)")
            for name in names { _ = try PlotTests.Document(String(decoding: Files.read(path + "/" + name), as: UTF8.self)) }
            let rows = try table(path + "/entropy.csv").dropFirst()
            let heldOut = try DataSource.open(found.configuration).heldOut
            let images = [3, 0].reduce(0) { $0 + heldOut.index.members[$1].count }
            #expect(images > 50 && rows.count == images * 16)
            for row in rows {
                let (first, second) = (row[2] == "1", row[2] == "2")
                // An image's first two tokens have fewer than two before them; the draft guesses all but the first.
                #expect((first || second) == (Double(row[3]) == 1) && row[6].isEmpty == first && (row[7].isEmpty || !draws) == (first || !draws))
                #expect(row[5].isEmpty != draws && row[4].isEmpty != draws)
                // Tokens of norm 1 lie at most 2 apart.
                #expect((Double(row[5]) ?? 0) <= 2)
            }
            guard draws else { return }
            let distances = rows.compactMap { Double($0[7]) }
            let mean = distances.reduce(0, +) / Double(distances.count)
            #expect(abs(found.tokens.compactMap(\.distance).reduce(0, +) / Double(distances.count) - mean) < 1e-9)
            #expect(found.acceptance([0, .infinity]) == [0, 1])
            let bare = try CausalDiagnostics(SavedModel(run), device: device, images: nil, source: "the data are gone", settings)
            #expect(try RunAnalysis(run, output: folder.file("bare")).write(bare).last == "no entropies: the data are gone")
        }
    }

    @Test("the command: a report without metrics, one-line errors for what is damaged or asked for in vain")
    func command() throws {
        let folder = try TestFolder()
        let trained = try folder.run("train --steps 2 --output run " + Program.tiny)
        #expect(trained.code == 0, "\(trained.errors)")
        try Files.removeTree(folder.file("run/metrics.jsonl"))
        let whole = try folder.run("analyze run -o report --labels 2,5 --per-label 1 --weights model")
        #expect(whole.code == 0 && whole.output.contains("no curves") && whole.output.hasSuffix("report/report.html\n"), "\(whole.errors)")
        #expect(try folder.text("report/entropy.csv").components(separatedBy: "\r\n").count == 1 + 3 * 16 + 1)
        try folder.expectError("analyze run --labels 10", says: "labels 10")
        try folder.expectError("analyze run --per-label 0", says: "per-label 0")
        try folder.expectError("analyze run --weights none", says: "weights none")
        try folder.expectError("analyze run -o run/config.json/x", says: "config.json")
        try folder.expectError("analyze run -o /proc/analysis", says: "/proc/analysis")
        try folder.expectError("analyze missing", says: "missing: no such folder")
        let name = "run/checkpoints/step-00000002/ema.safetensors"
        let bytes = try Files.read(folder.file(name))
        for length in [0, 7, 8, 100, bytes.count / 2, bytes.count - 1] {
            try folder.write(Array(bytes[..<length]), to: name)
            try folder.expectError("analyze run", says: "ema.safetensors")
        }
        var flipped = bytes
        flipped[bytes.count / 2] ^= 1
        try folder.write(flipped, to: name)
        try folder.expectError("analyze run", says: "ema.safetensors")
        try Files.removeTree(folder.file(name))
        try folder.expectError("analyze run", says: "ema.safetensors")
    }
}
