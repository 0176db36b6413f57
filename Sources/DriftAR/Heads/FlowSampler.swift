/// How a drawing goes along a flow, from noise to data.
public enum FlowSampler: String, Codable, Sendable, CaseIterable {
    /// With noise in each step, by Euler and Maruyama's method, as TransDiff and NextStep-1 draw.
    case sde
    /// Along the velocity alone, without noise, by Adams and Bashforth's method of second order: whole images need an eighth
    /// of the steps, single tokens a quarter.
    case ode

    /// Throws where a temperature would change nothing.
    func validate(_ configuration: Configuration) throws {
        let temperature = configuration.stage.mar?.temperature ?? configuration.stage.causal?.temperature ?? 1
        try require(
            self == .sde || temperature == 1,
            "temperature \(temperature): steps of the sampler ode draw nothing at random; take a temperature of 1, or the sampler sde")
    }
}
