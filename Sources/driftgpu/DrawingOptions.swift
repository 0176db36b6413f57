import ArgumentParser
import DriftAR
import DriftFormats

extension RoundSettings.Guidance: ExpressibleByArgument, SettingValue {}
extension RoundSettings.Order: ExpressibleByArgument, SettingValue {}
extension FlowSampler: ExpressibleByArgument, SettingValue {}
extension CausalStageSettings.Guess: ExpressibleByArgument, SettingValue {}

/// How a model that draws in rounds does so, in place of what its settings say.
struct DrawingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Rounds of an image that is drawn in rounds; 0: one a token. Default: as the model's settings say.", valueName: "n"))
    var rounds: Int?
    @Option(help: "Tokens that a round draws: the next of a random order, or those of least entropy. Default: as the model's settings say.")
    var order: RoundSettings.Order?
    @Option(help: ArgumentHelp("Tokens that a pass of a causal model draws at once, all but the first from guesses; 1: none. Default: as the model's settings say.", valueName: "n"))
    var parallel: Int?
    @Option(help: ArgumentHelp("Root mean square by which a guess may differ from the token drawn in its place; 0 draws what one token after the other gives. Default: as the model's settings say.", valueName: "x"))
    var tolerance: Float?
    @Option(help: "Who guesses the tokens that others of a pass are drawn from: the draft, where the model has one, or the last pass. Default: as the model's settings say.")
    var guess: CausalStageSettings.Guess?
    @Option(name: .customLong("head-steps"), help: ArgumentHelp("Steps of a diffusion or flow head. Default: as the model's settings say.", valueName: "n"))
    var headSteps: Int?
    @Option(help: "How the steps of a flow go: sde (with noise, as the papers have them) or ode (without, which needs fewer). Default: as the model's settings say.")
    var sampler: FlowSampler?
    @Option(help: ArgumentHelp("Factor of what is random in a token beside the noise it starts from. Default: as the model's settings say.", valueName: "x"))
    var temperature: Float?
    @Option(help: "How guidance goes over rounds or tokens: linear (rising), falling or constant. Default: as the model's settings say.")
    var cfgSchedule: RoundSettings.Guidance?

    /// The flags, and what each was given.
    private var flags: [(flag: String, group: String, name: String, text: String?)] {
        [
            ("rounds", "stage", "rounds", rounds.settingText), ("order", "stage", "order", order.settingText),
            ("parallel", "stage", "parallel", parallel.settingText), ("tolerance", "stage", "tolerance", tolerance.settingText),
            ("guess", "stage", "guess", guess.settingText),
            ("head-steps", "head", "steps", headSteps.settingText), ("sampler", "head", "sampler", sampler.settingText),
            ("temperature", "stage", "temperature", temperature.settingText),
            ("cfg-schedule", "stage", "guidance", cfgSchedule.settingText),
        ]
    }

    /// What was given, by flag: goes into the pictures, so that they can be drawn again.
    var given: [(String, String)] { flags.compactMap { flag in flag.text.map { (flag.flag, $0.filter { $0 != "\"" }) } } }

    /// Lays what was given over the settings of a model. Throws where the model has no such setting.
    func apply(to configuration: inout Configuration) throws {
        for (flag, group, name, text) in flags {
            guard let text else { continue }
            guard configuration.has(name, in: group) else {
                throw ConfigurationError("\(flag): nothing that a model of \(configuration.generatorName) draws by; leave it out")
            }
            guard !["nan", "inf", "-inf"].contains(text) else { throw ConfigurationError("\(flag) \(text): take a finite number") }
            configuration = try configuration.setting("\(group).\(name)", to: text, from: "--" + flag)
        }
        try configuration.validate()
    }
}
