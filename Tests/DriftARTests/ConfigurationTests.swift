import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct ConfigurationTests {
    private func merge(_ text: String) throws -> Configuration {
        try Configuration().merging(json: Data(text.utf8), from: "file.json")
    }

    @Test func roundTrip() throws {
        var configuration = TinyRun.tokens.configuration
        configuration.run.seed = .max
        #expect(try Configuration().merging(json: configuration.json(), from: "x") == configuration)
        for preset in Configuration.presets.values { try preset.validate() }
        #expect(try merge(#"{"embed": 32, "groups": "tokens"}"#).network.embed == 32)
    }

    @Test(
        arguments: [
            "", "no", "[1]", "3", "{", #"{"embed": "wide"}"#, #"{"embed": 1.5}"#, #"{"embed": null}"#, #"{"embed": [1]}"#,
            #"{"embed": 1e99}"#, #"{"groups": "labels"}"#, #"{"radii": 1}"#, #"{"radii": [null]}"#, #"{"seed": -1}"#,
            #"{"encodeOnce": 3.5}"#, #"{"embde": 64}"#, #"{"draftInit": "\n\u001b[2J"}"#, "{\"draftInit\": \"e\u{7F}ncoder\"}",
            #"{"\u0007": 1}"#,
        ])
    func wrong(_ text: String) throws {
        let message = errorText { _ = try merge(text) }
        #expect(message?.hasPrefix("file.json: ") == true && message?.printable == message, "\(message ?? "accepted")")
    }

    @Test(
        "a wrong value is named with its key and with what is allowed",
        arguments: [
            (#"{"steps": 2.5}"#, "file.json: steps 2.5: take a whole number"),
            (#"{"embed": 64, "steps": "many"}"#, #"file.json: steps "many": take a whole number"#),
            (#"{"seed": -1}"#, "file.json: seed -1: take a whole number from 0 to 18446744073709551615"),
            (#"{"lr": 1}"#, "file.json: unknown setting lr; there is accumulate, "),
            (#"{"learningRate": "high"}"#, #"file.json: learningRate "high": take a number"#),
            (#"{"flip": 1}"#, "file.json: flip 1: take true or false"), (#"{"data": 1}"#, "file.json: data 1: take a text"),
            (#"{"radii": [1, "x"]}"#, #"file.json: radii [1,"x"]: take a list of numbers"#),
            (#"{"groups": "labels"}"#, #"file.json: groups "labels": take samples, tokens"#),
            (#"{"rope": true}"#, "file.json: rope: only for the model dit; add \"model\": \"dit\""),
            (#"{"model": "flow"}"#, #"file.json: model "flow": take drift-ar, transdiff, transdiff-mrar, dit, mar, mar-energy, mar-drift"#),
            (#"{"run": {"steps": 2.5}}"#, "file.json: run.steps 2.5: take a whole number"),
            (#"{"run": {"steps": 5, "seed": -1}}"#, "file.json: run.seed -1: take a whole number from 0 to"),
            (#"{"version": 3, "run": 5}"#, "file.json: run 5: take an object with the group's settings"),
            (#"{"version": 3, "steps": 5}"#, "file.json: unknown setting steps; there is preset, data, encoder, head, loss, network,"),
            (#"{"head": {"rope": true}}"#, "file.json: unknown setting head.rope; the head decoder has depth, kind, "),
            (#"{"head": {"kind": "fluid"}}"#, #"file.json: head.kind "fluid": take autoencoder, decoder"#),
            (#"{"loss": {"radius": 1}}"#, "file.json: unknown setting loss.radius; in loss there is bankContents, "),
            (#"{"precision": "fp8"}"#, #"file.json: precision "fp8": take fp32, tf32, bf16"#),
            (#"{"steps": 5,}"#, "file.json: not a JSON object: expected '\"' at byte 12"),
            (#"{"steps": 5, "steps": 6}"#, #"file.json: not a JSON object: repeated key "steps""#),
            (#"{"version": 0}"#, "file.json: version 0: take a whole number from 1 to"),
            (#"{"version": 99, "hue": 1}"#, "file.json: settings of version 99, this program knows those up to "),
        ])
    func named(_ text: String, _ line: String) throws {
        let message = errorText { _ = try merge(text) }
        #expect(message?.hasPrefix(line) == true, "\(message ?? "accepted")")
    }

    /// Settings as each version of the program wrote them, for each preset: `VERSION-PRESET.json` of a run, and the metadata of
    /// weights that carry them.
    @Test("settings of every version open for ever")
    func stored() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/configurations").path
        let names = try Files.names(in: folder)
        // Presets on latents of 256x256 images in MAR's sizes have none: no run here wrote one.
        let presets = Configuration.presets.filter { !["mar-base", "mar-large", "mar-huge", "transdiff-base", "transdiff-large", "transdiff-huge"].contains($0.key) }
        for (name, preset) in presets {
            let isLater = name.hasSuffix("-mar") || name.hasSuffix("-causal") || name.contains("transdiff") || name.hasPrefix("photos") || ["autoencoder", "features", "latent-features"].contains(name)
            let version = isLater ? 3 : 1
            #expect(names.contains("\(version)-\(name).json"))
            let path = Files.join(folder, "\(version)-\(name).json")
            let stored = try Configuration().merging(json: Data(Files.read(path)), from: path)
            try stored.validate()
            var expected = preset
            // What the runs that wrote them were told.
            if name.hasPrefix("digits") { (expected.run.steps, expected.run.sampleEvery) = (1, 0) }
            if name == "digits-mar" {
                // The preset had this head then.
                expected.adopt(.marEnergy)
                expected.head.energy?.noises = 2
                expected.run.samplesPerLabel = 10
            }
            if name == "photos-transdiff" {
                // It was drawn so then.
                expected.head.flowDecoder?.sampler = .sde
                expected.head.flowDecoder?.steps = 100
            }
            if name.hasPrefix("mnist") { (expected.data.path, expected.data.form) = ("/data/mnist", .idx) }
            if name.hasPrefix("photos") || name == "latent-features" { (expected.data.path, expected.data.form) = ("/data/latents", .latents) }
            if name == "autoencoder" || name == "features" {
                (expected.data.path, expected.data.form) = ("/data/clothing", .folder)
                expected.data.classNames = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"]
                (expected.run.labelsPerStep, expected.run.samplesPerLabel) = (10, name == "features" ? 6 : 1)
            }
            #expect(stored == expected, "\(name)")
        }
        var opened = presets.count
        for name in names where name.hasPrefix("2-") {
            let path = Files.join(folder, name)
            let stored = try Configuration.digitsDrift.merging(json: Data(Files.read(path)), from: path)
            try stored.validate()
            #expect(stored == (try Self.second(String(name.dropFirst(2).dropLast(5)))), "\(name)")
            opened += 1
        }
        #expect(opened == presets.count + 6)
        for (name, preset) in [("1-export", "digits"), ("1-checkpoint", "digits-drift")] {
            let metadata = try JSON.parse(Files.read(Files.join(folder, name + ".metadata")))
            let text = try #require(metadata[RunFolder.configurationKey]?.string)
            let stored = try Configuration().merging(json: Data(text.utf8), from: name)
            #expect(stored.preset == preset && stored.run.steps == 1 && stored.version == Configuration.currentVersion)
        }
        #expect(names.count == opened + 2, "a file that nothing opens")
    }

    /// The settings that version 2 wrote for a run of one step.
    private static func second(_ name: String) throws -> Configuration {
        var expected = try Configuration.preset(name == "tokens" ? "digits" : name == "plain" ? "digits-drift" : name)
        (expected.run.steps, expected.run.sampleEvery) = (1, 0)
        if name.hasPrefix("mnist") { (expected.data.path, expected.data.form) = ("/data/mnist", .idx) }
        if name == "plain" {
            expected.head.dit?.rope = false
            expected.head.dit?.guidanceMax = 1.5
            (expected.network.embed, expected.head.depth) = (32, 2)
        }
        if name == "tokens" {
            (expected.loss.groups, expected.loss.features, expected.loss.bankContents) = (.tokens, .phi, .tokens)
            (expected.loss.positives, expected.loss.negatives, expected.network.dropout) = (4, 3, 0.1)
            (expected.run.samplesPerLabel, expected.run.seed) = (4, .max)
            expected.stage.label?.encodeOnce = false
            expected.stage.label?.draftShift = 1
            expected.stage.label?.freezeFraction = 0.5
            expected.head.decoder?.sigmaTau = 3
        }
        return expected
    }

    @Test("settings are found and changed by their path")
    func paths() throws {
        let configuration = Configuration()
        #expect(try configuration.setting("head.depth", to: "7", from: "--set").head.depth == 7)
        #expect(try configuration.setting("run.seed", to: "18446744073709551615", from: "--set").run.seed == .max)
        #expect(try configuration.setting("loss.groups", to: "tokens", from: "--set").loss.groups == .tokens)
        #expect(try configuration.setting("data.path", to: "a \"b\"", from: "--set").data.path == "a \"b\"")
        #expect(try configuration.setting("loss.radii", to: "[0.5]", from: "--set").loss.radii == [0.5])
        #expect(configuration.path(of: "buffer") == "stage.buffer" && configuration.path(of: "rope") == nil)
        for (path, value, line) in [
            ("depth", "1", "--set depth: name a group and a setting, like run.steps; there is data.channels, "),
            ("head.rope", "true", "--set: unknown setting head.rope; the head decoder has "),
            ("run.steps", "many", #"--set: run.steps "many": take a whole number"#),
            ("walk.steps", "1", "--set: unknown setting walk; there is preset, data, "),
        ] {
            let message = errorText { _ = try configuration.setting(path, to: value, from: "--set") }
            #expect(message?.hasPrefix(line) == true, "\(message ?? "accepted")")
        }
    }

    @Test("another kind of stage or head begins with its defaults; depth and first weights stay")
    func kinds() throws {
        var configuration = Configuration()
        configuration.head.depth = 5
        configuration.head.decoder?.lastLayerDeviation = 0
        let dit = try configuration.merging(json: Data(#"{"stage": {"kind": "none"}, "head": {"kind": "dit", "rope": true}}"#.utf8), from: "x")
        var settings = DiTHeadSettings()
        (settings.depth, settings.lastLayerDeviation, settings.rope) = (5, 0, true)
        #expect(dit.stage == StageSettings(UnconditionedStageSettings()) && dit.head == HeadSettings(settings))
        let flat = try configuration.merging(json: Data(#"{"model": "dit", "rope": true, "encoderDepth": 3}"#.utf8), from: "x")
        #expect(flat == dit)
        #expect(errorText { try configuration.merging(json: Data(#"{"head": {"kind": "dit"}}"#.utf8), from: "x").validate() }?.hasPrefix("head dit: ") == true)
    }

    @Test("a version is written and needs no second look")
    func version() throws {
        let text = String(decoding: try Configuration().json(), as: UTF8.self)
        #expect(text.contains("\"version\" : \(Configuration.currentVersion)"))
        #expect(try merge(#"{"version": 1, "embed": 32}"#) == merge(#"{"embed": 32}"#))
        // Another setting makes another version: count them where this fails.
        let counts = [Configuration(), .digitsDrift].map { $0.kinds.values.reduce(0) { $0 + $1.count } }
        #expect(counts == [79, 72] && Configuration.currentVersion == 3)
    }

    @Test("a model in a short file is the whole model")
    func modelOfShortFile() throws {
        let flow = try merge(#"{"model": "transdiff", "steps": 10}"#)
        #expect(flow.stage.label?.entropy == false && flow.head.flowDecoder != nil)
        let back = try flow.merging(json: Data(#"{"model": "drift-ar"}"#.utf8), from: "x")
        #expect(back.stage.label?.entropy == true && back.head.decoder != nil)
        try back.validate()
    }

    @Test func unknownNames() throws {
        #expect(errorText { _ = try merge(#"{"embde": 64}"#) }?.contains("embde") == true)
        #expect(errorText { _ = try Configuration.preset("imagenet") }?.contains("digits") == true)
    }

    /// Every setting with values beyond all sense: an error, or a configuration whose sizes can be counted.
    @Test(arguments: TinyRun.allCases) func absurd(_ kind: TinyRun) throws {
        let base = kind.configuration
        let object = try #require(JSONSerialization.jsonObject(with: base.json()) as? [String: Any])
        let values = [
            "-9223372036854775808", "-1", "0", "1", "3", "1000000", "1000000000", "9223372036854775807", "1e-45", "1e-300",
            "0.5", "1e30", "1e308", "[]", "[1e30,1e-30]", "true",
        ]
        let paths = object.flatMap { group, settings in (settings as? [String: Any] ?? [:]).keys.map { "\(group).\($0)" } }
        for key in paths.sorted() {
            for value in values {
                let message = errorText {
                    let changed = try base.setting(key, to: value, from: "x")
                    try changed.validate()
                    let largest = changed.tensorSizes().map(\.elements).max() ?? 0
                    #expect(largest <= Configuration.largestTensor, "\(key) \(value)")
                    #expect(changed.batch > 0 && changed.data.tokens > 0, "\(key) \(value)")
                }
                #expect(message?.contains("\n") != true, "\(key) \(value): \(message ?? "")")
            }
        }
    }

    @Test(
        "sizes of a token head that no device holds",
        arguments: [Configuration.Model.mar, .marEnergy, .marDrift, .causal, .causalEnergy, .causalDrift])
    func tokenHeadSizes(_ model: Configuration.Model) throws {
        var base = Configuration.digitsMAR
        base.adopt(model)
        base.run.samplesPerLabel = 4096
        try base.validate()
        func refuses(_ what: String, _ settings: [String: String]) throws {
            let changed = try settings.reduce(base) { try $0.setting("head.\($1.key)", to: $1.value, from: "x") }
            let message = errorText { try changed.validate() }
            #expect(message?.hasPrefix("settings: \(what): about") == true, "\(model), \(settings): \(message ?? "")")
        }
        #expect(base.head.drift.map { $0.noises == TokenDriftHeadSettings().noises && $0.width == 96 } ?? true)
        try refuses("parameters of the head", ["width": "16384", "depth": "256"])
        try refuses("activations of the head", ["noises": "256", "width": "512"])
        if model == .marDrift {
            try refuses("distances of a step", ["noises": "256", "width": "8", "radii": "[1]"])
        }
    }

    @Test("the number of samples that the drift head wants is neither taken from another head nor left to one")
    func noisesOfTheDriftHead() {
        var mar = Configuration.digitsMAR
        #expect(mar.head.drift?.noises == TokenDriftHeadSettings().noises && mar.head.drift?.width == 96)
        mar.adopt(.marEnergy)
        #expect(mar.head.energy?.noises == EnergyHeadSettings().noises && mar.head.energy?.width == 96)
        mar.head.energy?.noises = 3
        mar.adopt(.mar)
        #expect(mar.head.diffusion?.noises == 3)
        mar.adopt(.marDrift)
        #expect(mar.head.drift?.noises == TokenDriftHeadSettings().noises)
    }

    @Test func notFinite() throws {
        let floats: [WritableKeyPath<Configuration, Float>] = [
            \.network.mlpRatio, \.network.layerNormEpsilon, \.network.dropout, \.run.labelDrop,
        ]
        let doubles: [WritableKeyPath<Configuration, Double>] = [
            \.optimizer.learningRate, \.optimizer.minimumLearningRate, \.optimizer.decayFraction, \.optimizer.beta1,
            \.optimizer.beta2, \.optimizer.adamEpsilon, \.optimizer.weightDecay, \.optimizer.clip, \.optimizer.ema,
        ]
        func refuses(_ what: String, _ change: (inout Configuration) -> Void) {
            var configuration = Configuration()
            change(&configuration)
            #expect(errorText { try configuration.validate() } != nil, "\(what)")
        }
        for value in [Double.nan, .infinity, -.infinity] {
            for path in floats { refuses("\(path) \(value)") { $0[keyPath: path] = Float(value) } }
            for path in doubles { refuses("\(path) \(value)") { $0[keyPath: path] = value } }
            refuses("lastLayerDeviation \(value)") { $0.head.decoder?.lastLayerDeviation = Float(value) }
            refuses("sigmaMax \(value)") { $0.head.decoder?.sigmaMax = Float(value) }
            refuses("sigmaTau \(value)") { $0.head.decoder?.sigmaTau = Float(value) }
            refuses("alpha0 \(value)") { $0.stage.label?.alpha0 = value }
            refuses("freezeFraction \(value)") { $0.stage.label?.freezeFraction = value }
        }
    }
}
