import COpenCL

/// What tells a device from others of its name, where the driver says it: the same whatever order drivers list devices in.
public struct DeviceIdentity: Sendable, Hashable {
    /// 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12, as vendors' tools print them (cl_khr_device_uuid).
    public let uuid: String?
    /// Domain, bus, device and function, such as 0000:3b:00.0 (cl_khr_pci_bus_info, or NVIDIA's and AMD's own queries).
    public let pciAddress: String?

    /// PCI address and UUID in words; nil where there is neither.
    public var text: String? {
        let parts = [pciAddress.map { "PCI \($0)" }, uuid.map { "UUID \($0)" }].compactMap { $0 }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    init(uuid: String? = nil, pciAddress: String? = nil) {
        (self.uuid, self.pciAddress) = (uuid, pciAddress)
    }

    /// The identity of a device with these extensions; `query` reads so many bytes of a clGetDeviceInfo key, nil where the driver
    /// refuses. The keys are not in all headers.
    init(extensions: [String], query: (UInt32, Int) -> [UInt8]?) {
        func number(_ key: UInt32) -> Int? {
            query(key, 4).map { Int($0.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }) }
        }
        uuid = extensions.contains("cl_khr_device_uuid") ? query(0x106A, 16).flatMap(Self.uuidText) : nil
        if extensions.contains("cl_khr_pci_bus_info"), let bytes = query(0x410F, 16) {
            let words = bytes.withUnsafeBytes { bytes in
                (0..<4).map { Int(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
            }
            pciAddress = Self.pciText(domain: words[0], bus: words[1], device: words[2], function: words[3])
        } else if extensions.contains("cl_nv_device_attribute_query"), let bus = number(0x4008), let slot = number(0x4009) {
            pciAddress = Self.pciText(domain: number(0x400A) ?? 0, bus: bus, device: slot >> 3, function: slot & 7)
        } else if extensions.contains("cl_amd_device_attribute_query"), let bytes = query(0x4037, 24), bytes[0] == 1 {
            // A type (1: PCI Express), 17 bytes of nothing, then bus, device and function.
            pciAddress = Self.pciText(domain: 0, bus: Int(bytes[21]), device: Int(bytes[22]), function: Int(bytes[23]))
        } else {
            pciAddress = nil
        }
    }

    /// The order of a platform's devices: by PCI address where all have one, else as they are.
    static func order(_ identities: [DeviceIdentity]) -> [Int] {
        let addresses = identities.compactMap(\.pciAddress)
        guard addresses.count == identities.count else { return Array(identities.indices) }
        // Longer domains are larger ones.
        return identities.indices.sorted {
            (addresses[$0].count, addresses[$0], $0) < (addresses[$1].count, addresses[$1], $1)
        }
    }

    /// Nil for all zeros, which some drivers give for want of one.
    private static func uuidText(_ bytes: [UInt8]) -> String? {
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        let digits = bytes.map { padded(Int($0), 2) }
        return [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }.joined(separator: "-")
    }

    private static func pciText(domain: Int, bus: Int, device: Int, function: Int) -> String {
        "\(padded(domain, 4)):\(padded(bus, 2)):\(padded(device, 2)).\(String(function, radix: 16))"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Whether `choice` is this device's PCI address, with the domain or without, or the beginning of its UUID: 8 digits at least,
    /// so that no part of a name is taken for one. NVIDIA's tools write GPU- before it.
    func matches(_ choice: String) -> Bool {
        var wanted = choice.lowercased()
        if wanted.contains(":") {
            guard let pciAddress else { return false }
            // Domains have 4 digits, or 8 in NVIDIA's tools.
            while wanted.hasPrefix("0"), wanted.split(separator: ":").count == 3, wanted.prefix(while: { $0 != ":" }).count > 4 {
                wanted.removeFirst()
            }
            return wanted == pciAddress || "0000:" + wanted == pciAddress
        }
        if wanted.hasPrefix("gpu-") { wanted.removeFirst(4) }
        wanted.removeAll { $0 == "-" }
        guard let uuid, wanted.count >= 8 else { return false }
        return uuid.filter { $0 != "-" }.hasPrefix(wanted)
    }
}
