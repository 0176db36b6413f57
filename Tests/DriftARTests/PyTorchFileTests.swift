import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct PyTorchFileTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    @Test("values are PyTorch's, in every form, type and layout", arguments: [
        "state_dict.pth", "protocol4.pt", "legacy.pth", "checkpoint.pth", "types.pt", "views.ckpt", "unchecked.pt", "drift_ar.pth",
        "transdiff.pth", "kl16.ckpt", "legacy3.pth", "legacy4.pth", "legacy5.pth", "float8.pth", "float8_legacy.pth", "foreign.pth",
        "foreign_legacy.pth", "side.pth", "side4.pth", "side5.pth", "side_legacy.pth", "again.pth",
    ])
    func readsWhatPyTorchReads(_ name: String) throws {
        let file = try PyTorchFile(PyTorchFixtures.path(name))
        let expected = try PyTorchFixtures.expected(name)
        #expect(!expected.isEmpty && file.names == expected.keys.sorted())
        try file.verify(file.names)
        for (name, tensor) in expected {
            let read = try file.tensor(name)
            #expect(read.shape == tensor.shape, "\(name)")
            if let floats = read.floats, let wanted = tensor.floats {
                // Which NaN stands for that of 8 bits is nobody's business.
                let isShort = try [.f8e4m3, .f8e5m2].contains(file.header(name).type)
                #expect(floats.count == wanted.count, "\(name)")
                #expect(zip(floats, wanted).allSatisfy { $0.bitPattern == $1.bitPattern || (isShort && $0.isNaN && $1.isNaN) }, "\(name)")
            } else {
                #expect(read == tensor, "\(name)")
            }
        }
    }

    @Test func keepsTypesAndScalars() throws {
        let types = try PyTorchFile(PyTorchFixtures.path("types.pt"))
        #expect(try types.header("f64") == TensorHeader(type: .f64, shape: [3], count: 3))
        #expect(try types.header("scalar").shape == [])
        #expect(try types.header("empty").shape == [0, 3])
        #expect(try types.tensor("i64").longs == [-(1 << 62), 0, 5])
        #expect(try types.tensor("bool").bytes == [1, 0])
        #expect(try types.elements("bf16", of: UInt16.self).count == 4)
        #expect(errorText { _ = try types.elements("bf16", of: Float.self) }?.contains("2 bytes, not 4") == true)
        #expect(errorText { _ = try types.floats("i64") }?.contains("I64, not a floating one") == true)
        #expect(errorText { _ = try types.tensor("f8") }?.contains("no tensor 'f8'") == true)
        let short = try PyTorchFile(PyTorchFixtures.path("short.pt"))
        #expect(try short.elements("i16", of: Int16.self) == [-300])
        #expect(errorText { _ = try short.tensor("i8") }?.contains("I8") == true)

        let facts = try PyTorchFile(PyTorchFixtures.path("checkpoint.pth")).metadata
        #expect(facts["epoch"] == "3" && facts["history"] == "list of 40")
        #expect(facts["args/model"] == "drift_ar_base" && facts["args/R"] == "0.02, 0.05" && facts["args/lr"] == "None")
        #expect(facts["args/big"] == "1099511627776" && facts["args/negative"] == "-5" && facts["args/seed"] == "<int>")
        #expect(facts["args/device"] == "<torch.device>" && facts["args/best"] == "<numpy.scalar>")
        #expect(facts["optimizer/param_groups/0/betas"] == "0.9, 0.999")
    }

    @Test("what is no tensor is refused by name, and never run", arguments: [
        ("malicious.pth", "posix.system"), ("malicious_legacy.pth", "posix.system"), ("innocent.pth", "__builtin__.eval"),
        ("module.pt", "torch.nn.modules.container.Sequential"),
        ("expanded.pt", "1000000 elements of a storage of 1"), ("deep.pt", "nested without end"),
        ("script.pt", "TorchScript"),
    ])
    func refuses(_ name: String, _ part: String) throws {
        let text = errorText { _ = try PyTorchFile(PyTorchFixtures.path(name)) }
        #expect(text?.contains(part) == true && text?.contains(name) == true && text?.contains("\n") == false, "\(text ?? "")")
        #expect(!Files.exists("/tmp/driftgpu-was-fooled"))
    }

    @Test("types that are not read leave the rest readable, and are named where they are asked for")
    func foreignTypes() throws {
        let file = try PyTorchFile(PyTorchFixtures.path("foreign.pth"))
        #expect(file.names == ["plain"])
        #expect(file.foreign == [
            "complex": ForeignTensor(type: "complex64", shape: [2, 3]), "quantized": ForeignTensor(type: "quantized", shape: [2, 2]),
            "e8m0": ForeignTensor(type: "float8_e8m0fnu", shape: [4]),
        ])
        #expect(errorText { _ = try file.floats("complex") }?.contains("'complex' has the element type complex64, which") == true)
        #expect(file.hidden?.hint.contains("torch._utils._rebuild_sparse_tensor") == true)
        #expect(try PyTorchFile(PyTorchFixtures.path("complex.pt")).foreign["complex"]?.shape == [2])
    }

    @Test("side data of any kind is passed over; a tensor inside of an object is not lost without a word")
    func sideData() throws {
        let facts = try PyTorchFile(PyTorchFixtures.path("side.pth")).metadata
        #expect(facts["args/num_heads"] == "2" && facts["extra/simple/width"] == "4" && facts["extra/counter"] == "<collections.Counter>")
        #expect(facts["extra/array"] == "<numpy.ndarray>" && facts["extra/tracker"] == "<__main__.Tracker>")
        let hidden = try PyTorchFile(PyTorchFixtures.path("hidden.pth"))
        #expect(hidden.headers.isEmpty && hidden.hidden == HiddenTensors(count: 1, classes: ["__main__.Holder"]))
        let text = errorText { _ = try WeightImport(hidden) }
        #expect(text?.contains("1 more lie inside of objects that were passed over (__main__.Holder)") == true, "\(text ?? "")")
        #expect(try WeightImport(PyTorchFile(PyTorchFixtures.path("drift_ar.pth"))).isExact)
    }

    @Test("every truncation is an error", arguments: ["state_dict.pth", "legacy.pth", "types.pt"])
    func refusesEveryTruncation(_ name: String) throws {
        let bytes = try Files.read(PyTorchFixtures.path(name))
        for length in 0..<bytes.count {
            try folder.write(Array(bytes[..<length]), to: "cut")
            #expect(throws: DataError.self, "cut at \(length)") { try readAll("cut") }
        }
    }

    @Test("damage is an error or leaves a file that reads, never a crash", arguments: [
        "unchecked.pt", "checkpoint.pth", "legacy.pth", "again.pth", "foreign_legacy.pth",
    ])
    func survivesFlippedBytes(_ name: String) throws {
        let bytes = try Files.read(PyTorchFixtures.path(name))
        var random = TestNumbers(5)
        var refused = 0
        let rounds = 1500
        for round in 0..<rounds {
            var damaged = bytes
            for _ in 0...random.below(3) { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
            try folder.write(damaged, to: "flipped")
            do {
                try readAll("flipped")
            } catch {
                refused += 1
                #expect(error is DataError, "round \(round): \(error)")
            }
        }
        #expect(refused > rounds / 10)
    }

    @Test("a damaged pickle is an error or another pickle, never a crash", arguments: [
        "views.ckpt", "checkpoint.pth", "protocol4.pt", "float8.pth", "side5.pth",
    ])
    func survivesDamagedPickles(_ name: String) throws {
        let archive = try ZipArchive(PyTorchFixtures.path(name))
        let entry = try #require(archive.entries.keys.first { $0.hasSuffix("/data.pkl") })
        let bytes = try archive.bytes(entry, limit: 1 << 20)
        var random = TestNumbers(9)
        let opcodes = (0...255).compactMap { PickleOpcode(rawValue: UInt8($0))?.rawValue }
        var refused = 0
        let rounds = 1500
        for _ in 0..<rounds {
            var damaged = bytes
            for _ in 0...random.below(4) {
                let place = random.below(damaged.count)
                switch random.below(4) {
                case 0: damaged[place] = UInt8(random.below(256))
                case 1: damaged[place] = opcodes[random.below(opcodes.count)]
                case 2: damaged.insert(opcodes[random.below(opcodes.count)], at: place)
                default: damaged.remove(at: place)
                }
            }
            do {
                var machine = PickleMachine(damaged)
                _ = try PickleOutline(machine.run())
            } catch {
                refused += 1
            }
        }
        #expect(refused > rounds / 10)
    }

    @Test("a changed value is found by its checksum")
    func checksums() throws {
        let name = "state_dict.pth"
        var bytes = try Files.read(PyTorchFixtures.path(name))
        let expected = try #require(try PyTorchFixtures.expected(name)["0.weight"]?.floats?.first)
        let pattern = withUnsafeBytes(of: expected) { Array($0) }
        let place = try #require((0..<(bytes.count - 4)).first { Array(bytes[$0..<($0 + 4)]) == pattern })
        bytes[place] ^= 1
        let file = try PyTorchFile(folder.write(bytes, to: "changed.pth"))
        #expect(try file.floats("0.weight").first != expected)
        #expect(errorText { try file.verify(file.names) }?.contains("does not have its checksum") == true)
        try file.verify(["0.bias"])
    }

    private func readAll(_ name: String) throws {
        let file = try PyTorchFile(folder.file(name))
        try file.verify(file.names)
        for name in file.names where ![.i8, .i16].contains(try file.header(name).type) { _ = try file.tensor(name) }
    }
}
