import Foundation
import Testing

@testable import DriftGPU

/// Identities of devices that need not be there.
@Suite struct DeviceIdentityTests {
    private static let uuid: [UInt8] = [0x3B, 0xE9, 0x12, 0xA0, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0x0B]

    private func words(_ numbers: UInt32...) -> [UInt8] { numbers.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } } }

    /// The identity that a driver with these answers gives; it refuses all else.
    private func identity(_ extensions: [String], _ answers: [UInt32: [UInt8]]) -> DeviceIdentity {
        DeviceIdentity(extensions: extensions) { key, count in answers[key].flatMap { $0.count == count ? $0 : nil } }
    }

    @Test func standardQueries() {
        let found = identity(
            ["cl_khr_device_uuid", "cl_khr_pci_bus_info"], [0x106A: Self.uuid, 0x410F: words(0x1_0000, 0x3B, 2, 1)])
        #expect(found.uuid == "3be912a0-0011-2233-4455-66778899aa0b" && found.pciAddress == "10000:3b:02.1")
        #expect(found.text == "PCI 10000:3b:02.1, UUID 3be912a0-0011-2233-4455-66778899aa0b")
    }

    @Test func vendorsQueries() {
        let nvidia = identity(
            ["cl_nv_device_attribute_query"], [0x4008: words(0xC1), 0x4009: words(0x1F << 3 | 3), 0x400A: words(2)])
        #expect(nvidia.pciAddress == "0002:c1:1f.3" && nvidia.uuid == nil)
        // Older drivers have no domain.
        #expect(identity(["cl_nv_device_attribute_query"], [0x4008: words(6), 0x4009: words(0)]).pciAddress == "0000:06:00.0")
        let topology = words(1) + [UInt8](repeating: 9, count: 17) + [0xE3, 1, 2]
        #expect(identity(["cl_amd_device_attribute_query"], [0x4037: topology]).pciAddress == "0000:e3:01.2")
    }

    @Test func whatADriverDoesNotSayIsNotMadeUp() {
        #expect(identity([], [0x106A: Self.uuid, 0x410F: words(0, 1, 2, 0)]).text == nil)
        #expect(identity(["cl_khr_device_uuid", "cl_khr_pci_bus_info", "cl_amd_device_attribute_query"], [:]).text == nil)
        #expect(identity(["cl_khr_device_uuid"], [0x106A: [UInt8](repeating: 0, count: 16)]).uuid == nil)
        #expect(identity(["cl_amd_device_attribute_query"], [0x4037: words(0, 0, 0, 0, 0, 0)]).pciAddress == nil)
    }

    @Test func orderIsThatOfTheAddresses() {
        func order(_ addresses: String?...) -> [Int] { DeviceIdentity.order(addresses.map { DeviceIdentity(pciAddress: $0) }) }
        #expect(order("0000:af:00.0", "0000:3b:00.0", "10000:01:00.0", "0000:3b:00.0") == [1, 3, 0, 2])
        // One that has none leaves the driver's order.
        #expect(order("0000:af:00.0", nil, "0000:3b:00.0") == [0, 1, 2] && order() == [])
    }

    private static func device(_ index: Int, _ name: String, uuid: String? = nil, pci: String? = nil) -> DeviceChoice {
        DeviceChoice(
            index: index, name: name, identity: DeviceIdentity(uuid: uuid, pciAddress: pci),
            strength: DeviceStrength(
                kind: name == "EPYC" ? .cpu : .gpu, sharesHostMemory: false, computeUnits: 100 + index, clockRate: 1000, index: index))
    }

    private static let devices = [
        device(0, "EPYC"), device(1, "A100", uuid: "a1000000-0000-0000-0000-000000000001", pci: "0000:3b:00.0"),
        device(2, "A100", uuid: "a1000000-0000-0000-0000-000000000002", pci: "0000:af:00.0"),
        device(3, "H100", uuid: "12345678-9000-0000-0000-000000000003", pci: "0001:3b:00.0"),
    ]

    @Test(arguments: [
        ("0", 0), ("2", 2), ("cpu", 0), ("gpu", 3), ("auto", 3), ("a100", 2), ("epyc", 0),
        ("a1000000-0000-0000-0000-000000000001", 1), ("GPU-A1000000-0000-0000-0000-000000000002", 2), ("12345678", 3),
        ("GPU-12345678-90", 3), ("0000:3b:00.0", 1), ("3B:00.0", 1), ("00000000:AF:00.0", 2), ("00000001:3B:00.0", 3), ("0001:3b:00.0", 3),
    ]) func isChosen(_ choice: String, _ index: Int) throws {
        #expect(try DeviceChoice.choose(choice, from: Self.devices).index == index)
    }

    @Test(arguments: ["a1000000", "a10000000000", "77", "123456780", "3c:00.0", "3b:00.1", ":", "h200", "-1"]) func isRefused(_ choice: String) throws {
        let text = #expect(throws: DeviceError.self) { try DeviceChoice.choose(choice, from: Self.devices) }?.description ?? ""
        #expect(text.hasPrefix("--device \(choice): ") && text.contains("A100") != text.contains("give more digits"), "\(text)")
        #expect(!text.contains("\n"))
    }

    @Test func strongestIsTakenUnasked() throws {
        #expect(try DeviceChoice.choose(nil, from: Self.devices).index == 3)
        #expect(throws: DeviceError.self) { try DeviceChoice.choose(nil, from: []) }
    }
}
