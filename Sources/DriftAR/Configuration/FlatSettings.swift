import DriftFormats

/// Settings without groups, as versions 1 and 2 wrote them and as short files of settings still may.
enum FlatSettings {
    /// Where each of them is now, by group. Those of one kind of stage or head are apart.
    private static let groups: [(group: String, names: String)] = [
        ("", "preset"),
        ("data", "channels height width patch classes classNames flip crop holdOut resident latentScale"),
        ("network", "embed heads mlpRatio layerNormEpsilon dropout"),
        ("head", "lastLayerDeviation"),
        ("loss", "groups features radii positives negatives positiveBank negativeBank bankContents"),
        ("optimizer", "learningRate minimumLearningRate warmupSteps schedule decayFraction beta1 beta2 adamEpsilon weightDecay clip ema"),
        ("run", "steps seed labelsPerStep samplesPerLabel labelDrop accumulate gradCheckpointing precision logEvery sampleEvery checkpointEvery keepCheckpoints stopAfterSkipped onlineEval onlineEvalImages evalWeights"),
    ]
    private static let ofDriftAR = [
        ("stage", "encoderDepth buffer encodeOnce draftDepth draftShift draftInit alpha0 freezeFraction"), ("head", "sigmaMax sigmaTau"),
    ]
    private static let ofDiT = [("head", "rope qkNorm swiglu guidanceMax")]
    /// Those that had another name.
    private static let renamed = ["data": ("data", "path"), "dataForm": ("data", "form"), "decoderDepth": ("head", "depth")]

    private static func places(_ groups: [(group: String, names: String)]) -> [String: (group: String, name: String)] {
        var places: [String: (group: String, name: String)] = [:]
        for (group, names) in groups {
            for name in names.split(separator: " ") { places[String(name)] = (group, String(name)) }
        }
        return places
    }

    private static let common = places(groups).merging(renamed) { $1 }
    private static let driftAR = places(ofDriftAR)
    private static let dit = places(ofDiT)

    /// The settings of a file in their groups. A file had the settings of both models: those of the other one are passed over, but
    /// one of DiT's that is switched on for Drift-AR is an error.
    static func settings(
        _ members: [JSON.Member], _ values: [String: Any], over base: Configuration, from source: String
    ) throws -> [Configuration.GivenSetting] {
        func given(_ member: JSON.Member, _ place: (group: String, name: String)) -> Configuration.GivenSetting {
            .init(key: member.key, group: place.group, name: place.name, text: member.value, value: values[member.key] ?? 0)
        }
        var settings: [Configuration.GivenSetting] = []
        var isDiT = base.head.dit != nil
        if let member = members.first(where: { $0.key == "model" }) {
            guard let model = Configuration.Model(rawValue: member.value.string ?? "") else {
                throw Configuration.wrong(given(member, ("", "model")), Configuration.Model.dit, from: source)
            }
            isDiT = model == .dit
            let pair = model.pair
            settings = [("stage", pair.stage), ("head", pair.head)].map { group, kind in
                .init(key: "model", group: group, name: "kind", text: .string(kind), value: kind)
            }
            if pair.stage == LabelStageSettings.kind {
                let entropy = model == .driftAR
                settings.append(.init(key: "model", group: "stage", name: "entropy", text: .bool(entropy), value: entropy))
            }
        }
        for member in members where member.key != "version" && member.key != "model" {
            if let place = common[member.key] ?? (isDiT ? dit : driftAR)[member.key] {
                settings.append(given(member, place))
            } else if dit[member.key] != nil {
                guard member.value == .bool(false) || member.value.double == 1 else {
                    throw ConfigurationError("\(source): \(member.key): only for the model dit; add \"model\": \"dit\"")
                }
            } else if driftAR[member.key] == nil {
                let known = (Array(common.keys) + driftAR.keys + dit.keys + ["model"]).sorted().joined(separator: ", ")
                throw ConfigurationError("\(source): unknown setting \(member.key.printable); there is \(known)")
            }
        }
        return settings
    }
}
