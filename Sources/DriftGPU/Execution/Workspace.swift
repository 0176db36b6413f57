/// The device memory that graphs compute in: one block, as large as the largest plan among them.
///
/// Graphs run one after the other, so their intermediate tensors lie in the same bytes. What a run leaves there can be read
/// until the next run of any graph in the same workspace.
final class Workspace {
    private let device: Device
    private let fill: UInt32
    private(set) var buffer: Buffer?
    /// How often the block was replaced: who has bound it binds it again.
    private(set) var replacements = 0
    /// The number of the last run.
    private(set) var generation = 0

    /// `fill`: what new blocks hold.
    init(_ device: Device, fill: UInt32 = 0) {
        self.device = device
        self.fill = fill
    }

    /// Has the block hold `byteCount` bytes at least. Growing loses what it held.
    func reserve(_ byteCount: Int) throws {
        guard byteCount > buffer?.byteCount ?? 0 else { return }
        // The old block goes first: both together may be more than the device has.
        buffer = nil
        replacements += 1
        generation += 1
        buffer = try Buffer(device, name: "arena", byteCount: byteCount, fill: fill)
    }

    /// The number of a run that begins: what earlier runs left is gone.
    func begin() -> Int {
        generation += 1
        return generation
    }
}
