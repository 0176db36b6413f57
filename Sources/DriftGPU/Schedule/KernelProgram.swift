/// What a device compiles at once: a family of kernels under one set of -D values, and the kernels that are taken from it.
public struct KernelProgram: Sendable, Hashable, Codable {
    /// The .cl file's name, without ending.
    public let family: String
    /// -D values beyond those of the device.
    public let defines: [String: String]
    /// By name.
    public private(set) var kernels: [Kernel]

    /// A kernel and the groups it is launched in.
    public struct Kernel: Sendable, Hashable, Codable {
        public let name: String
        /// Sorted.
        public fileprivate(set) var groups: [Group]
    }

    /// A work-group.
    public struct Group: Sendable, Hashable, Codable, Comparable {
        /// Work-items.
        public let items: Int
        /// Bytes of local memory that come as arguments; what a kernel declares itself is not among them.
        public let localBytes: Int

        public static func < (left: Group, right: Group) -> Bool {
            (left.items, left.localBytes) < (right.items, right.localBytes)
        }
    }

    init(_ launch: Launch) {
        var localBytes = 0
        for case .local(let bytes) in launch.arguments { localBytes += bytes }
        family = launch.family
        defines = launch.defines
        kernels = [
            Kernel(name: launch.kernel, groups: [Group(items: launch.local.reduce(1, *), localBytes: localBytes)])
        ]
    }

    /// The -D values as a compiler takes them, sorted.
    public var definitions: [String] { defines.sorted { $0.key < $1.key }.map { "-D\($0.key)=\($0.value)" } }

    /// Each program once, with the kernels and groups of all its mentions; sorted by family and -D values.
    public static func union(_ programs: some Sequence<KernelProgram>) -> [KernelProgram] {
        var groups: [Key: [String: Set<Group>]] = [:]
        for program in programs {
            for kernel in program.kernels {
                groups[Key(family: program.family, defines: program.defines), default: [:]][kernel.name, default: []]
                    .formUnion(kernel.groups)
            }
        }
        return groups.map { key, kernels in KernelProgram(key, kernels) }
            .sorted { ($0.family, $0.definitions.joined(separator: " ")) < ($1.family, $1.definitions.joined(separator: " ")) }
    }

    private struct Key: Hashable {
        let family: String
        let defines: [String: String]
    }

    private init(_ key: Key, _ kernels: [String: Set<Group>]) {
        family = key.family
        defines = key.defines
        self.kernels = kernels.sorted { $0.key < $1.key }.map { Kernel(name: $0.key, groups: $0.value.sorted()) }
    }
}

extension Schedule {
    /// The programs its launches need. What a BLAS library compiles is not among them.
    public var programs: [KernelProgram] {
        KernelProgram.union(
            steps.flatMap(\.commands).compactMap { command in
                guard case .kernel(let launch) = command else { return nil }
                return KernelProgram(launch)
            })
    }
}
