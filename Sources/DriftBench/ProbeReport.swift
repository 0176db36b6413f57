import DriftGPU
import Foundation

/// What is worth knowing of a driver that no specification says: each part is missing where it was not asked for or failed.
public struct ProbeReport: Codable, Sendable {
    public var launch: LaunchProbe?
    public var transfer: TransferProbe?
    public var assembly: AssemblyProbe?
    public var binary: BinaryProbe?
    public var allocation: AllocationProbe?
    public var fill: FillProbe?
    /// What a probe failed with, by its name.
    public var failures: [String: String] = [:]

    public init() {}

    /// The probes, in the order in which they are best made: the last may never end.
    public enum Kind: String, CaseIterable, Sendable { case launch, transfer, assembly, binary, allocation, fill }

    /// Makes a probe on `device`. `bytes` replaces the sizes of transfers and fills. A failure is kept, not thrown.
    public mutating func make(_ kind: Kind, on device: Device, bytes: Int? = nil, progress: (String) -> Void) {
        do {
            switch kind {
            case .launch: launch = try LaunchProbe(device)
            case .transfer: transfer = try TransferProbe(device, bytes: bytes ?? TransferProbe.bytes)
            case .assembly: assembly = AssemblyProbe(device)
            case .binary: binary = try BinaryProbe(device)
            case .allocation: allocation = try AllocationProbe(device)
            case .fill:
                fill = try FillProbe(device, bytes: bytes ?? FillProbe.bytes, progress: progress)
            }
        } catch {
            failures[kind.rawValue] = "\(error)"
        }
    }

    /// What was found, in lines for people.
    public var lines: [String] {
        var lines: [String] = []
        if let launch {
            let depths = launch.depths.map { String(microseconds: $0.total) + " at \($0.depth)" }.joined(separator: ", ")
            lines.append("launch      us each by how many are queued: \(depths)")
        }
        if let transfer {
            func pair(_ pair: TransferProbe.Pair?) -> String {
                guard let pair else { return "none" }
                return String(gigabytes: transfer.rate(pair.write)) + " to the device, "
                    + String(gigabytes: transfer.rate(pair.read)) + " from it"
            }
            lines.append("transfer    GB/s pageable \(pair(transfer.pageable)); pinned \(pair(transfer.pinned))")
            let word = (String(microseconds: transfer.word.write), String(microseconds: transfer.word.read))
            let copy = String(gigabytes: 2 * transfer.rate(transfer.deviceCopy))
            lines.append("            one word \(word.0) us to, \(word.1) us from; copy on the device \(copy) GB/s")
        }
        if let assembly, !assembly.entries.isEmpty {
            lines.append("assembly    taken: " + assembly.entries.filter(\.isAccepted).map(\.name).joined(separator: "; "))
            let refused = assembly.entries.filter { !$0.isAccepted }
            if let last = refused.last {
                let names = refused.map(\.name).joined(separator: "; ")
                lines.append("            refused: \(names); the last with: \(last.message ?? "")")
            }
        }
        if let binary {
            lines.append("binary      " + (binary.directives.isEmpty ? "no PTX" : binary.directives.joined(separator: " ")))
            lines += binary.entries.map { "            \($0.name): \($0.failure ?? "taken, right numbers")" }
        }
        if let allocation {
            let refused = allocation.attempts.first { $0.failure != nil }
                .map { ", \($0.bytes >> 20) MiB refused: \($0.failure ?? "")" } ?? ""
            lines.append("allocation  \(allocation.largest >> 20) MiB worked, \(allocation.stated >> 20) MiB stated\(refused)")
        }
        if let fill {
            func time(_ seconds: Double?) -> String {
                seconds.map { String(gigabytes: Double(fill.bytes) / max($0, 1e-9)) + " GB/s" } ?? "failed"
            }
            lines.append("fill        \(fill.bytes) bytes: in pieces \(time(fill.inPieces)), at once \(time(fill.once))")
            lines += fill.failures.map { "            " + $0 }
        }
        for (name, reason) in failures.sorted(by: { $0.key < $1.key }) {
            lines.append(name.padding(toLength: 12, withPad: " ", startingAt: 0) + "FAILED: " + reason)
        }
        return lines
    }
}

extension String {
    fileprivate init(microseconds seconds: Double) { self = String(format: "%.1f", seconds * 1e6) }
    fileprivate init(gigabytes rate: Double) { self = String(format: "%.1f", rate / 1e9) }
}
