/// What a launch may ask of any device, and of this one: checked when a schedule is made, so that no kernel is built for a
/// shape whose indices it cannot hold.
enum LaunchLimits {
    /// Most rows, blocks or groups of a launch. The sum of two of them, the next row and the width of a chunk, is below 2^31.
    static let indices = 1 << 30
    /// Largest integer argument: an extent that a loop passes by at most 2^16 when it ends.
    static let argument = Int(Int32.max) - (1 << 16)

    /// Throws a `GraphError` that names the operation where a command goes beyond them.
    static func check(_ command: Command, of node: Node, traits: DeviceTraits) throws {
        func refuse(_ what: String, remedy: String = "use a smaller batch or smaller images") throws -> Never {
            let shapes = (node.inputs + node.outputs).map(\.type.description).joined(separator: ", ")
            throw GraphError("\(node.operation.name) of \(shapes): \(what); \(remedy)")
        }
        switch command {
        case .library(let gemm):
            let extents = [gemm.m, gemm.n, gemm.k, gemm.batch]
            if extents.contains(where: { $0 > argument }) {
                try refuse("a matrix product \(gemm) has more than \(argument) rows or columns")
            }
        case .kernel(let launch):
            if launch.indices > indices {
                try refuse("kernel \(launch.kernel) would count \(launch.indices) rows, at most \(indices) fit its 32-bit indices")
            }
            for case .int(let value) in launch.arguments where value > argument || value < -argument {
                try refuse("kernel \(launch.kernel) would take \(value), at most \(argument) fits its 32-bit indices")
            }
            let items = launch.local.reduce(1, *)
            if items > traits.maxWorkGroupSize {
                try refuse(
                    "kernel \(launch.kernel) needs work-groups of \(items) items, the device takes \(traits.maxWorkGroupSize)",
                    remedy: "unset DRIFTGPU_TEAM, or choose another --device")
            }
        }
    }
}
