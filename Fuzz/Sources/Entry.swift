import Foundation

@testable import DriftAR
@testable import DriftFormats

/// The reader that `FUZZ_READER` names.
private let reader: Reader = {
    let name = ProcessInfo.processInfo.environment["FUZZ_READER"] ?? ""
    guard let reader = Reader.all.first(where: { $0.name == name }) else {
        fatalError("FUZZ_READER is one of \(Reader.all.map(\.name).joined(separator: ", "))")
    }
    return reader
}()

/// The file that readers of paths find, in a folder of its own: `FUZZ_FOLDER`, best in memory.
private let file: InputOnDisk = {
    do {
        return try InputOnDisk(folder: ProcessInfo.processInfo.environment["FUZZ_FOLDER"] ?? "", name: reader.file)
    } catch {
        fatalError("FUZZ_FOLDER: \(error)")
    }
}()

/// What libFuzzer calls with every input.
@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = UnsafeBufferPointer(start: start, count: count)
    do {
        if reader.needsFile { try file.replace(bytes) }
        try reader.read(Input(bytes: bytes, file: file))
    } catch {
        check(error)
    }
    return 0
}

/// An error must be one of the program's own and one printable line: anything else is a finding.
private func check(_ error: any Error) {
    guard error is DataError || error is ConfigurationError || error is JSON.ParseError || error is PickleError else {
        fatalError("an error of the type \(type(of: error)): \(error)")
    }
    // The other two reach the user inside of a DataError alone.
    guard error is DataError || error is ConfigurationError else { return }
    let line = "\(error)"
    if line != line.printable { fatalError("an error with control characters: \(line.debugDescription)") }
}

/// What libFuzzer calls once: with `FUZZ_SEEDS`, writes each reader's seeds to a folder of its name there, and ends.
@_cdecl("LLVMFuzzerInitialize")
func initialize(_ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutableRawPointer) -> Int32 {
    guard let folder = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] else { return 0 }
    do {
        for reader in Reader.all {
            let own = Files.join(folder, reader.name)
            try Files.makeFolder(own)
            for (number, seed) in try reader.seeds(Seeds(folder: folder)).enumerated() {
                try AtomicFile.write(seed, to: Files.join(own, "seed-\(number)"), synced: false)
            }
        }
    } catch {
        fatalError("seeds: \(error)")
    }
    print(Reader.all.map(\.name).joined(separator: "\n"))
    exit(0)
}

@_silgen_name("LLVMFuzzerMutate")
private func mutate(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ capacity: Int) -> Int

/// Mutates as libFuzzer does, then puts right what would otherwise stop a reader at its first checksum. Some inputs are left
/// with wrong checksums.
@_cdecl("LLVMFuzzerCustomMutator")
func customMutator(_ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ capacity: Int, _ seed: UInt32) -> Int {
    let count = mutate(data, count, capacity)
    if seed % 8 > 0 { reader.repair(UnsafeMutableBufferPointer(start: data, count: count)) }
    return count
}
