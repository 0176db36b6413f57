import Foundation
import Testing

@testable import DriftAR

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
