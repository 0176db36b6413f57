import DriftGPU
import DriftMPI
import Foundation

/// Which device a process of a job takes.
enum RankDevice {
    /// Has this process take its share of its machine's cores where it computes on them, unless the environment says how many. To be
    /// called before OpenCL is, and before MPI: some MPI libraries look for OpenCL devices by themselves.
    static func shareCores(_ launch: RankLaunch) {
        let online = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        // A launcher that binds has left this process its own cores; others share them all.
        let threads = max(1, min(count(cores()), online / max(1, launch.localCount ?? 1)))
        for variable in ["POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT"] { setenv(variable, "\(threads)", 0) }
    }

    /// The device of this process: that of its number among its machine's processes, of the devices that are as the one that `choice`
    /// names. Throws where two processes would have one GPU and may not share it. All processes call it.
    static func choose(_ choice: String?, _ communicator: Communicator, sharing: Bool) throws -> DeviceDescription {
        let device = try communicator.together {
            let chosen = try DeviceDescription.choose(choice)
            guard chosen.kind == .gpu else { return chosen }
            let alike = try DeviceDescription.all().filter { $0.isAvailable && $0.platform == chosen.platform && $0.name == chosen.name }
            return alike.isEmpty ? chosen : alike[communicator.localRank % alike.count]
        }
        let places = try communicator.allgather(
            text: device.kind == .gpu ? "\(host()) \(device.identity.text ?? "device \(device.index)")" : "")
        guard !sharing else { return device }
        try communicator.together {
            let own = places[communicator.rank]
            guard !own.isEmpty, let first = places.firstIndex(of: own), first < communicator.rank else { return }
            throw DeviceShared(description: "ranks \(first) and \(communicator.rank) would share \(device.name) of \(own); start fewer processes on that machine, or let them with --share-device")
        }
        return device
    }

    /// Where each process works, in the order of their ranks. All processes call it.
    static func places(_ ranks: any RankGroup, _ device: DeviceDescription) throws -> [String] {
        let identity = device.kind == .gpu ? device.identity.text.map { " (\($0))" } ?? "" : ""
        return try ranks.allgather(
            text: ranks.together { "\(host()): \(device.name)\(identity), \(device.computeUnits) compute unit\(device.computeUnits == 1 ? "" : "s")" })
    }

    /// The same in a line: how many work where.
    static func summary(_ places: [String]) -> String {
        var counts: [(place: String, count: Int)] = []
        for place in places {
            if let known = counts.firstIndex(where: { $0.place == place }) { counts[known].count += 1 } else { counts.append((place, 1)) }
        }
        return counts.map { $0.count > 1 ? "\($0.count) on \($0.place) each" : $0.place }.joined(separator: "; ")
    }

    private struct DeviceShared: Error, CustomStringConvertible { let description: String }

    static func host() -> String { ProcessInfo.processInfo.hostName }

    /// The cores that this process may use, as Linux lists them: `0-3,8`.
    private static func cores() -> String {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(whereSeparator: \.isNewline).first { $0.hasPrefix("Cpus_allowed_list:") }
        return line.map { $0.split(separator: ":")[1].filter { !$0.isWhitespace } }
            ?? "0-\(max(1, ProcessInfo.processInfo.activeProcessorCount) - 1)"
    }

    /// How many cores such a list has.
    private static func count(_ list: String) -> Int {
        list.split(separator: ",").reduce(0) { sum, range in
            let ends = range.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last else { return sum }
            return sum + last - first + 1
        }
    }
}
