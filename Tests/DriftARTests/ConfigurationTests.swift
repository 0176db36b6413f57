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
        configuration.seed = .max
        #expect(try Configuration().merging(json: configuration.json(), from: "x") == configuration)
        for preset in Configuration.presets.values { try preset.validate() }
        #expect(try merge(#"{"embed": 32, "groups": "tokens"}"#).embed == 32)
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
        for (name, preset) in Configuration.presets {
            #expect(names.contains("1-\(name).json"))
            let path = Files.join(folder, "1-\(name).json")
            let stored = try Configuration().merging(json: Data(Files.read(path)), from: path)
            try stored.validate()
            var expected = preset
            // What the runs that wrote them were told.
            if name.hasPrefix("digits") { (expected.steps, expected.sampleEvery) = (1, 0) }
            if name.hasPrefix("mnist") { (expected.data, expected.dataForm) = ("/data/mnist", .idx) }
            #expect(stored == expected, "\(name)")
        }
        for (name, preset) in [("1-export", "digits"), ("1-checkpoint", "digits-drift")] {
            let metadata = try JSON.parse(Files.read(Files.join(folder, name + ".metadata")))
            let text = try #require(metadata[RunFolder.configurationKey]?.string)
            let stored = try Configuration().merging(json: Data(text.utf8), from: name)
            #expect(stored.preset == preset && stored.steps == 1 && stored.version == Configuration.currentVersion)
        }
        #expect(names.count == Configuration.presets.count + 2, "a file that nothing opens")
    }

    @Test("a version is written and needs no second look")
    func version() throws {
        let text = String(decoding: try Configuration().json(), as: UTF8.self)
        #expect(text.contains("\"version\" : \(Configuration.currentVersion)"))
        #expect(try merge(#"{"version": 1, "embed": 32}"#) == merge(#"{"embed": 32}"#))
        // Another setting makes another version: count them where this fails.
        let settings = try #require(JSONSerialization.jsonObject(with: Configuration().json()) as? [String: Any])
        #expect(settings.count == 72 && Configuration.currentVersion == 2)
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
        for key in object.keys.sorted() {
            for value in values {
                let message = errorText {
                    let changed = try base.merging(json: Data("{\"\(key)\": \(value)}".utf8), from: "x")
                    try changed.validate()
                    let largest = changed.tensorSizes().map(\.elements).max() ?? 0
                    #expect(largest <= Configuration.largestTensor, "\(key) \(value)")
                    #expect(changed.batch > 0 && changed.tokens > 0, "\(key) \(value)")
                }
                #expect(message?.contains("\n") != true, "\(key) \(value): \(message ?? "")")
            }
        }
    }

    @Test func notFinite() throws {
        let paths: [WritableKeyPath<Configuration, Float>] = [
            \.mlpRatio, \.layerNormEpsilon, \.dropout, \.labelDrop, \.sigmaMax, \.sigmaTau, \.lastLayerDeviation,
        ]
        let doubles: [WritableKeyPath<Configuration, Double>] = [
            \.learningRate, \.minimumLearningRate, \.decayFraction, \.beta1, \.beta2, \.adamEpsilon, \.weightDecay, \.clip,
            \.ema, \.alpha0, \.freezeFraction,
        ]
        for value in [Double.nan, .infinity, -.infinity] {
            for path in paths {
                var configuration = Configuration()
                configuration[keyPath: path] = Float(value)
                #expect(errorText { try configuration.validate() } != nil, "\(path) \(value)")
            }
            for path in doubles {
                var configuration = Configuration()
                configuration[keyPath: path] = value
                #expect(errorText { try configuration.validate() } != nil, "\(path) \(value)")
            }
        }
    }
}
