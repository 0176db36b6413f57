import COpenCL
import Foundation

/// Has everything compiled that a schedule launches, before the first launch: side by side where the driver lets it, and
/// telling how far it is. What is compiled already, or in the driver's cache, costs next to nothing.
///
/// Where programs are compiled as they are built (GPUs), threads build them. In the CPU shape kernels are compiled one by one,
/// by this process and, from `patience` on, by compiler processes.
struct ProgramBuild {
    /// Seconds until progress is shown.
    static let silence = 1.5

    let device: Device
    /// Seconds after which there is enough to do for others to be worth their start, which takes half a second of a core: a kernel
    /// in the driver's cache is there in a tenth of that.
    var patience = 0.3
    /// Seconds that compiler processes get when this one has nothing left to do: a driver may hang in any of them.
    var grace = 20.0

    init(_ device: Device) { self.device = device }

    /// Throws a `DeviceError` where a program does not build.
    func run(_ launches: [Launch]) throws {
        if device.traits.isGPUShape {
            if device.about.kind != .cpu, device.buildsSideBySide { device.buildPrograms(of: launches) }
            return
        }
        var compilations: [KernelCompilation] = []
        var seen: Set<KernelCompilation.Key> = []
        for launch in launches {
            guard let compilation = KernelCompilation(launch), !device.compiled.contains(compilation.key),
                seen.insert(compilation.key).inserted
            else { continue }
            compilations.append(compilation)
        }
        // A small program first: how long it takes tells whether there is work for others. Then the large one of all families
        // without -D values, so that whoever else comes to it finds it built.
        let (whole, parts) = (compilations.filter(\.defines.isEmpty), compilations.filter { !$0.defines.isEmpty })
        try compile(parts.prefix(1) + whole + parts.dropFirst())
    }

    private func compile(_ compilations: some Sequence<KernelCompilation>) throws {
        let queue = CompilationQueue(Array(compilations))
        let start = ContinuousClock.now
        var compilers: [CompilerProcess]?
        var isChecked = false
        var sharesCache = true
        var shown: Int?
        func report() {
            let done = queue.done
            // The end of something short is not worth a line.
            guard shown != nil ? shown != done : Self.seconds(since: start) > Self.silence && queue.count - done > 2 else { return }
            shown = done
            device.compiling?(done, queue.count)
        }
        defer {
            queue.close()
            for compiler in compilers ?? [] { compiler.end() }
            device.compiled.formUnion(queue.own)
            if sharesCache { device.compiled.formUnion(queue.others) }
        }
        var deadline: ContinuousClock.Instant?
        while true {
            if let compilation = queue.takeFirst() {
                do {
                    try device.compile(compilation)
                } catch let error as OpenCLError {
                    // A driver that does not take a launch on nothing compiles as it goes.
                    device.log.debug("not compiled ahead: \(error)")
                    return
                }
                queue.finishOwn(compilation)
            } else {
                let limit = deadline ?? ContinuousClock.now + .seconds(grace)
                deadline = limit
                guard ContinuousClock.now < limit, queue.waitForAway(until: Date() + 0.2) else { break }
            }
            report()
            if compilers == nil, Self.seconds(since: start) > patience { compilers = helpers(queue) }
            if !isChecked, let first = queue.firstFromAway {
                isChecked = true
                sharesCache = try isShared(first)
                if !sharesCache { return }
            }
        }
        report()
    }

    /// Compiler processes at work; none where there is no other core, or too little left for them.
    private func helpers(_ queue: CompilationQueue) -> [CompilerProcess] {
        guard let command = device.compilers, !command.isEmpty else { return [] }
        let count = min(ProcessInfo.processInfo.activeProcessorCount - 1, 7, queue.left / 3)
        guard count > 0 else { return [] }
        let setting = CompilerProcess.Setting(
            index: device.about.index, name: device.about.name, team: "cpu", lanes: device.traits.lanes,
            kernels: device.kernelFolder)
        return (0..<count).compactMap { _ in
            guard let compiler = CompilerProcess(command, setting: setting) else { return nil }
            Thread.detachNewThread {
                while let compilation = queue.takeLast() {
                    guard let seconds = compiler.compile(compilation) else { return queue.giveBack(compilation) }
                    queue.finishAway(compilation, seconds: seconds)
                }
            }
            return compiler
        }
    }

    /// Whether this process finds what another one has compiled: it must have the kernel in less than half that time.
    private func isShared(_ first: (compilation: KernelCompilation, seconds: Double)) throws -> Bool {
        let start = ContinuousClock.now
        try device.compile(first.compilation)
        let seconds = Self.seconds(since: start)
        device.log.debug("\(first.compilation.kernel): \(first.seconds) s elsewhere, then \(seconds) s here")
        return seconds < max(0.05, first.seconds / 2)
    }

    static func seconds(since start: ContinuousClock.Instant) -> Double { (ContinuousClock.now - start) / .seconds(1) }
}
