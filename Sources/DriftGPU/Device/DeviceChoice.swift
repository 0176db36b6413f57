/// What a device is chosen by, with `--device` or without.
struct DeviceChoice {
    let index: Int
    let name: String
    let identity: DeviceIdentity
    let strength: DeviceStrength

    /// The one of `devices` that `choice` names: nil or `auto` for the strongest; `cpu` or `gpu` for the strongest of that kind; an
    /// index; a PCI address or the beginning of a UUID; a part of the name. Throws a `DeviceError` that lists what there is.
    static func choose(_ choice: String?, from devices: [DeviceChoice]) throws -> DeviceChoice {
        let byStrength = devices.sorted { $0.strength > $1.strength }
        guard let choice, choice.lowercased() != "auto" else {
            guard let best = byStrength.first else { throw DeviceError("no OpenCL device is available") }
            return best
        }
        let known = devices.map { "\($0.index) \($0.name)" }.joined(separator: ", ")
        if ["cpu", "gpu"].contains(choice.lowercased()) {
            guard let device = byStrength.first(where: { $0.strength.kind.rawValue == choice.lowercased() }) else {
                throw DeviceError("--device \(choice): no such OpenCL device; there is: \(known)")
            }
            return device
        }
        if let index = Int(choice), let device = devices.first(where: { $0.index == index }) { return device }
        let identified = devices.filter { $0.identity.matches(choice) }
        guard identified.count < 2 else {
            throw DeviceError(
                "--device \(choice): \(identified.count) devices begin so; give more digits: \(identified.compactMap { $0.identity.text }.joined(separator: "; "))")
        }
        if let device = identified.first { return device }
        if Int(choice) != nil { throw DeviceError("--device \(choice): no such OpenCL device; there is: \(known)") }
        guard let device = byStrength.first(where: { $0.name.lowercased().contains(choice.lowercased()) }) else {
            throw DeviceError("--device \(choice): no OpenCL device has that in its name, nor that UUID or PCI address; there is: \(known)")
        }
        return device
    }
}
