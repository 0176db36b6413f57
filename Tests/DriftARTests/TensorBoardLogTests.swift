import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

/// Reads event files as TensorBoard does, and checks every checksum.
private struct EventFile {
    struct Event {
        var step = 0
        var version: String?
        var isStart = false
        var scalars: [String: Float] = [:]
        var pictures: [String: Picture] = [:]
    }

    enum Value { case number(UInt64), bytes([UInt8]) }

    let events: [Event]

    init(_ path: String) throws {
        var bytes = Bytes(rest: try Files.read(path)[...])
        var events: [Event] = []
        while !bytes.rest.isEmpty {
            let length = try bytes.take(8)
            #expect(try bytes.number(4) == UInt64(CRC32C.masked(length)))
            let message = try bytes.take(Bytes.number(length))
            #expect(try bytes.number(4) == UInt64(CRC32C.masked(message)))
            events.append(try Self.event(message))
        }
        self.events = events
    }

    /// What is not yet read.
    private struct Bytes {
        var rest: ArraySlice<UInt8>

        mutating func take(_ count: some BinaryInteger) throws -> [UInt8] {
            guard count <= rest.count else { throw DataError("\(rest.count) bytes where \(count) should be", at: "event file", fix: "") }
            defer { rest = rest.dropFirst(Int(count)) }
            return Array(rest.prefix(Int(count)))
        }

        /// Little-endian.
        mutating func number(_ count: Int) throws -> UInt64 { Self.number(try take(count)) }

        static func number(_ bytes: [UInt8]) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }

        mutating func counted() throws -> [UInt8] {
            let count = try varint()
            return try take(count)
        }

        mutating func varint() throws -> UInt64 {
            var (value, shift): (UInt64, UInt64) = (0, 0)
            while true {
                let byte = try number(1)
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80 { return value }
            }
        }
    }

    private static func event(_ message: [UInt8]) throws -> Event {
        var event = Event()
        for (field, value) in try fields(message) {
            switch (field, value) {
            case (2, .number(let step)): event.step = Int(step)
            case (3, .bytes(let text)): event.version = String(decoding: text, as: UTF8.self)
            case (5, .bytes(let summary)): try add(summary, to: &event)
            case (7, .bytes(let session)): event.isStart = session == [8, 1]
            default: break
            }
        }
        return event
    }

    private static func add(_ summary: [UInt8], to event: inout Event) throws {
        for case (1, .bytes(let part)) in try fields(summary) {
            var tag = ""
            for (field, value) in try fields(part) {
                switch (field, value) {
                case (1, .bytes(let text)): tag = String(decoding: text, as: UTF8.self)
                case (2, .number(let bits)): event.scalars[tag] = Float(bitPattern: UInt32(bits))
                case (4, .bytes(let image)):
                    for case (4, .bytes(let png)) in try fields(image) { event.pictures[tag] = try PNG.decode(png) }
                default: break
                }
            }
        }
    }

    private static func fields(_ message: [UInt8]) throws -> [(Int, Value)] {
        var bytes = Bytes(rest: message[...])
        var fields: [(Int, Value)] = []
        while !bytes.rest.isEmpty {
            let head = try bytes.varint()
            let value: Value = switch head & 7 {
            case 0: .number(try bytes.varint())
            case 1: .number(try bytes.number(8))
            case 2: .bytes(try bytes.counted())
            default: .number(try bytes.number(4))
            }
            fields.append((Int(head >> 3), value))
        }
        return fields
    }
}

@Suite(.serialized) struct TensorBoardLogTests {
    @Test("a run by the command line, resumed: one file for each start, and the figures of metrics.jsonl")
    func run() throws {
        let folder = try TestFolder()
        let first = try folder.run("train --steps 3 --tensorboard --online-eval 3 --output run \(Program.tiny) --checkpoint-every 2")
        #expect(first.code == 0, "\(first.errors)")
        let names = try Files.names(in: folder.file("run/tensorboard"))
        #expect(names.count == 1 && names.allSatisfy { $0.hasPrefix("events.out.tfevents.") })
        let events = try EventFile(folder.file("run/tensorboard/\(names[0])")).events
        #expect(events.map(\.step) == [0, 1, 1, 2, 3, 3])
        #expect(events[0].version == "brain.Event:2" && events[1].isStart)
        let lines = try folder.text("run/metrics.jsonl").split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
        for (event, line) in zip(events[2...4], lines) {
            #expect(event.scalars["train/loss"] == line["loss"]?.double.map { Float($0) } && event.step == line["step"]?.integer)
            #expect(event.scalars["train/lr"] == line["lr"]?.double.map { Float($0) })
        }
        let diversity = try #require(lines.last?["diversity"]?.double)
        #expect(events[4].scalars["eval/diversity"] == Float(diversity) && events[4].scalars["train/diversity"] == nil)
        #expect(events[5].pictures["samples"] == (try PNG.read(folder.file("run/samples/step-00000003.png")).picture))

        // From the checkpoint before the last step; it needs no flag.
        try Files.removeTree(folder.file("run/checkpoints/step-00000003"))
        #expect(try folder.run("train --resume --output run").code == 0)
        let both = try Files.names(in: folder.file("run/tensorboard"))
        #expect(both.count == 2 && both[0] == names[0])
        let resumed = try EventFile(folder.file("run/tensorboard/\(both[1])")).events
        #expect(resumed.map(\.step) == [0, 3, 3, 3] && resumed[1].isStart)
        #expect(resumed[2].scalars["train/loss"] == events[4].scalars["train/loss"])

        #expect(try folder.run("train --overwrite --steps 1 --output run \(Program.tiny)").code == 0)
        #expect(!Files.exists(folder.file("run/tensorboard")))
    }

    @Test("files stand in the order they were begun in, whatever the clock does")
    func order() throws {
        let folder = try TestFolder()
        let place = folder.file("board")
        for step in 0..<4 { _ = try TensorBoardLog(place, after: step) }
        let starts = try Files.names(in: place).map { try EventFile(Files.join(place, $0)).events.last?.step }
        #expect(starts == [1, 2, 3, 4])
        try folder.write("", to: "board/events.out.tfevents.9000000000.other.1")
        try folder.write("", to: "board/notes.txt")
        _ = try TensorBoardLog(place, after: 9)
        let last = try #require(try Files.names(in: place).last { $0 != "notes.txt" })
        #expect(last.hasPrefix("events.out.tfevents.9000000001."))
    }

    @Test("a place that cannot be written ends the run in one line")
    func unwritable() throws {
        let folder = try TestFolder()
        try Files.makeFolder(folder.file("run"))
        try folder.write("a file", to: "run/tensorboard")
        try folder.expectError(
            "train --steps 1 --tensorboard --auto-resume --output run \(Program.tiny)", says: "run/tensorboard")
    }
}
