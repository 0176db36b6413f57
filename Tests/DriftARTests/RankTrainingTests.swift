import DriftGPU
import DriftMPI
import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

/// Several ranks that train one run. They are threads here; Scripts/test-ranks has processes.
@Suite(.serialized) struct RankTrainingTests {
    /// Ranks that train the tiny run of `kind` in one folder, with `parts` parts of a step in all.
    private func train(
        _ kind: TinyRun, _ device: Device, _ path: String, ranks: Int, parts: Int, existing: TrainingRun.Existing = .refuse,
        before: @escaping (TrainingRun, Int) throws -> Void = { _, _ in }, stop: @escaping (Int, Int) -> Bool = { _, _ in false }
    ) -> [Result<TrainingRun.Ending, any Error>] {
        ThreadRanks.run(ranks) { group in
            let run = try group.together {
                var configuration = kind.configuration
                configuration.run.accumulate = parts
                return try TrainingRun(
                    configuration, data: ImageSet(TinyRun.data()), path: path, existing: existing, device: device, ranks: group)
            }
            try before(run, group.rank)
            return try run.train(
                progress: ProgressLine(total: 6, output: .custom(columns: nil, { _ in })),
                shouldStop: { stop(group.rank, run.trainer.step) })
        }
    }

    private func bytes(_ path: String) throws -> [String: [UInt8]] {
        var result = ["metrics": try Files.read(path + "/metrics.jsonl")]
        for name in ["model", "ema", "state"] {
            result[name] = try Files.read("\(path)/checkpoints/step-00000006/\(name).safetensors")
        }
        return result
    }

    private func failures(_ results: [Result<TrainingRun.Ending, any Error>]) -> [RankFailure?] {
        results.map { result in
            guard case .failure(let error) = result else { return nil }
            return error as? RankFailure
        }
    }

    private static let spreads = [(1, 2), (1, 4), (2, 2), (2, 4), (4, 4), (3, 3), (8, 8), (3, 6), (1, 6)]

    @Test("however the parts of a step are spread over ranks, the run has the same bits", arguments: [TinyRun.pixels, .phi, .dit])
    func oracle(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            var known: [Int: [String: [UInt8]]] = [:]
            for (ranks, parts) in kind == .pixels ? Self.spreads : [(1, 4), (4, 4), (2, 4)] {
                let path = folder.file("\(ranks) of \(parts)")
                for result in train(kind, device, path, ranks: ranks, parts: parts) { #expect(try result.get() == .finished) }
                let made = try bytes(path)
                if let known = known[parts] { #expect(made == known, "\(ranks) ranks, \(parts) parts") } else { known[parts] = made }
            }
            #expect(Set(known.values.map { $0["ema"] }).count == known.count)
        }
    }

    @Test("a run goes on with another number of ranks, bit for bit, and stops where any rank asks")
    func resume() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let (whole, parts) = (folder.file("whole"), folder.file("parts"))
            for result in train(.pixels, device, whole, ranks: 1, parts: 4) { #expect(try result.get() == .finished) }
            for result in train(.pixels, device, parts, ranks: 4, parts: 4, stop: { rank, step in rank == 2 && step == 2 }) {
                #expect(try result.get() == .interrupted)
            }
            #expect(try RunFolder(parts).checkpoints.latest() == 2)
            // A file asks as well, and once.
            let asked = train(.pixels, device, parts, ranks: 2, parts: 4, existing: .resume) { run, rank in
                if rank == 0 { try AtomicFile.write([], to: run.folder.stopPath) }
            }
            for result in asked { #expect(try result.get() == .interrupted) }
            #expect(try RunFolder(parts).checkpoints.latest() == 3 && !Files.exists(RunFolder(parts).stopPath))
            for result in train(.pixels, device, parts, ranks: 1, parts: 4, existing: .resume) { #expect(try result.get() == .finished) }
            #expect(try bytes(parts) == bytes(whole))
        }
    }

    @Test("what fails in one rank ends all at the same step, with its number and its reason")
    func failure() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            // A checkpoint that cannot be written, which rank 0 alone tries.
            let full = train(.dit, device, folder.file("full"), ranks: 2, parts: 2) { run, rank in
                if rank == 0 { try AtomicFile.write([], to: run.folder.checkpoints.path) }
            }
            for failure in failures(full) { #expect(failure?.rank == 0 && failure?.reason.contains("checkpoints") == true) }
            // Settings that only one of them cannot take.
            let odd = ThreadRanks.run(3) { group in
                try group.together {
                    var configuration = TinyRun.dit.configuration
                    configuration.run.accumulate = 3
                    if group.rank == 1 { configuration.run.steps = 0 }
                    return try TrainingRun(
                        configuration, data: ImageSet(TinyRun.data()), path: folder.file("odd"), existing: .refuse, device: device,
                        ranks: group).trainer.step
                }
            }
            for result in odd {
                #expect(throws: RankFailure.self) { try result.get() }
            }
            #expect(!Files.exists(folder.file("odd")))
            let shares = train(.dit, device, folder.file("shares"), ranks: 2, parts: 3)
            for failure in failures(shares) { #expect(failure?.reason.hasPrefix("accumulate 3: 2 processes cannot share") == true) }
        }
    }

    @Test("what breaks in the middle of an exchange is not told by another: that would be taken for a part of it")
    func brokenExchange() throws {
        try TestDevice.with(.cpu16) { device in
            let results = ThreadRanks.run(2) { group in
                let exchange = RankExchange(group, overlaps: false)
                let flat = Storage("flat", count: 8)
                // One of them has other sizes, which its memory does not allow.
                let memory = DeviceMemory(device)
                try memory.reserve(group.rank == 0 ? Storage("flat", count: 4) : flat)
                try exchange.sum(exchange.buckets([flat]), ready: [nil], in: memory)
            }
            #expect(throws: BrokenExchange.self) { try results[0].get() }
            #expect(throws: BrokenExchange.self) { try results[1].get() }
        }
    }

    @Test("ranks whose weights differ are found, and named")
    func replicas() throws {
        try TestDevice.with(.cpu16) { device in
            let folder = try TestFolder()
            let path = folder.file("run")
            let results = train(.dit, device, path, ranks: 3, parts: 3) { run, rank in
                guard rank == 2 else { return }
                let storage = run.trainer.state.model.layout.storage("parameters")
                var weights = try run.trainer.state.memory.read(Float.self, from: storage)
                weights[5] = weights[5].nextUp
                try run.trainer.state.memory.write(weights, to: storage)
            }
            for failure in failures(results) { #expect(failure?.reason.contains("the weights of rank 2 are not those of rank 0") == true) }
            #expect(try RunFolder(path).checkpoints.latest() == nil)
        }
    }

    @Test("sums over ranks have the bits of sums over parts, in buckets of any size", arguments: [1, 7, 64, 1000])
    func sums(_ limit: Int) throws {
        try TestDevice.with(.cpu16) { device in
            var random = TestRandom(11)
            let storages = [Storage("flat", count: 333), Storage("few", count: 3)]
            for (count, perMachine) in [(2, nil), (3, nil), (5, nil), (8, nil), (4, 2), (8, 4), (8, 2), (6, 2)] as [(Int, Int?)] {
                let values = (0..<count).map { _ in storages.map { storage in (0..<storage.count).map { _ in Float(random.normal()) } } }
                let sums = ThreadRanks.run(count, perMachine: perMachine) { group in
                    let memory = DeviceMemory(device)
                    for (storage, values) in zip(storages, values[group.rank]) { try memory.write(values, to: storage) }
                    let exchange = RankExchange(group, overlaps: false, shardLimit: limit)
                    let buckets = exchange.buckets(storages)
                    try exchange.sum(buckets, ready: buckets.map { _ in nil }, in: memory)
                    return try storages.map { try memory.read(Float.self, from: $0) }
                }
                for (index, storage) in storages.enumerated() {
                    let wanted = Self.paired(values.map { $0[index] })
                    for sum in sums {
                        let made = try sum.get()[index]
                        #expect(made == wanted, "\(storage.name) of \(count), \(perMachine ?? 0) on a machine")
                    }
                }
            }
        }
    }

    @Test("buckets that go while the backward pass still runs have the bits of one process", arguments: [TinyRun.pixels, .dit])
    func overlap(_ kind: TinyRun) throws {
        try TestDevice.with(.cpu16) { device in
            let single = try kind.trainer(device) { $0.run.accumulate = 2 }
            for _ in 0..<6 { try single.advance() }
            let wanted = try single.snapshot()
            let results = ThreadRanks.run(2) { group in
                let exchange = RankExchange(group, overlaps: true, shardLimit: 500)
                let trainer = try kind.trainer(device, exchange: exchange) { $0.run.accumulate = 2 }
                let layout = trainer.state.model.layout
                let buckets = exchange.buckets([layout.storage("gradients")])
                let schedule = try trainer.schedules()[0]
                let turns = buckets.map { schedule.lastTurn(of: $0.range, in: $0.storage) }
                for _ in 0..<6 { try trainer.advance() }
                return (turns: turns, steps: schedule.steps.count, snapshot: try trainer.snapshot())
            }
            for result in results {
                let made = try result.get()
                #expect(isSame(made.snapshot, wanted))
                // The last parameters' gradients come first. A DiT of one block has most of its parameters in that.
                #expect(made.turns.count > 5 && (made.turns.first ?? 0) < (made.turns.last ?? 0))
                if kind == .pixels { #expect(made.turns.count { $0 < made.steps * 3 / 4 } > made.turns.count / 3) }
            }
        }
    }

    @Test("gradients in bf16 are rounded by 2^-8 of themselves at most, and what is logged is not", arguments: [(2, nil), (3, nil), (4, 2)] as [(Int, Int?)])
    func bf16(_ count: Int, _ perMachine: Int?) throws {
        var random = TestRandom(5)
        let values = (0..<count).map { _ in (0..<1001).map { _ in Float(random.normal()) } }
        func sums(exactly: Bool) throws -> [[Float]] {
            let sending = values
            return try ThreadRanks.run(count, perMachine: perMachine) { group in
                let messages = RankMessages(group, wire: .bf16, shard: 501)
                var room = sending[group.rank] + [Float](repeating: 0, count: 1003)
                try room.withUnsafeMutableBufferPointer { try messages.sum($0, count: 1001, exactly: exactly) }
                return Array(room[..<1001])
            }.map { try $0.get() }
        }
        let (rounded, exact) = (try sums(exactly: false), try sums(exactly: true))
        #expect(exact.allSatisfy { $0 == Self.paired(values) } && rounded.allSatisfy { $0 == rounded[0] } && rounded != exact)
        for i in 0..<1001 {
            let size = values.reduce(0) { $0 + abs($1[i]) }
            // Each value once, and the sum.
            #expect(abs(rounded[0][i] - exact[0][i]) <= 2.01 * size / 256)
        }
        var results = [UInt16](repeating: 0, count: 6)
        BrainFloat.narrow([1, -0.0, .infinity, .nan, 1.00390625, Float.greatestFiniteMagnitude], &results, 6)
        #expect(results[0] == 0x3F80 && results[1] == 0x8000 && results[2] == 0x7F80 && results[4] == 0x3F80 && results[5] == 0x7F80)
        #expect(results[3] & 0x7FFF > 0x7F80)
    }

    @Test("images that processes draw together come in the order of one", arguments: [(1, 1), (3, 7), (5, 2), (2, 3)])
    func drawing(_ labels: Int, _ perLabel: Int) throws {
        let chosen = (0..<labels).map { 2 * $0 }
        func values(_ labels: [Int], _ images: Range<Int>) -> [Float] {
            labels.flatMap { label in images.flatMap { [Float(label), Float($0), 0.5] } }
        }
        for count in 1...4 {
            let results = ThreadRanks.run(count) { group in
                let share = DrawingShare(labels: chosen, perLabel: perLabel, ranks: group)
                return try share.gather(values(share.labels, share.images))
            }
            for result in results {
                let made = try result.get()
                #expect(made == values(chosen, 0..<perLabel), "\(count) ranks")
            }
        }
    }

    /// The sum of the parts of a step by its definition: the largest power of two of them, and the rest, each in the same way.
    private static func paired(_ parts: [[Float]]) -> [Float] {
        guard parts.count > 1 else { return parts.first ?? [] }
        let half = 1 << (Int.bitWidth - 1 - (parts.count - 1).leadingZeroBitCount)
        return zip(paired(Array(parts[..<half])), paired(Array(parts[half...]))).map { $0 + $1 }
    }
}
