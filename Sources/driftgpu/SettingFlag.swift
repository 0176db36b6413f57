import ArgumentParser
import DriftAR
import DriftFormats

/// A value as it stands in a file of settings.
protocol SettingValue {
    /// JSON; nil for no value.
    var settingText: String? { get }
}

extension Int: SettingValue {}
extension UInt64: SettingValue {}
extension Float: SettingValue {}
extension Double: SettingValue {}
extension Bool: SettingValue {}

extension SettingValue where Self: LosslessStringConvertible {
    var settingText: String? { description }
}

extension SettingValue where Self: RawRepresentable<String> {
    var settingText: String? { JSON.string(rawValue).text }
}

extension Optional: SettingValue where Wrapped: SettingValue {
    var settingText: String? { flatMap(\.settingText) }
}

/// A flag that may have been given.
protocol GivenFlag {
    var settingText: String? { get }
}

extension Option: GivenFlag where Value: SettingValue {
    var settingText: String? { wrappedValue.settingText }
}

extension Flag: GivenFlag where Value: SettingValue {
    var settingText: String? { wrappedValue.settingText }
}

extension LossSettings.Groups: ExpressibleByArgument, SettingValue {}
extension LossSettings.BankContents: ExpressibleByArgument, SettingValue {}
extension LabelStageSettings.DraftStart: ExpressibleByArgument, SettingValue {}
extension OptimizerSettings.Schedule: ExpressibleByArgument, SettingValue {}
extension RunSettings.Weights: ExpressibleByArgument, SettingValue {}
