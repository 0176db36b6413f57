import Foundation
import Testing

@testable import DriftFormats

/// Pickles by hand, as no sane program writes them.
@Suite struct PickleTests {
    private func run(_ bytes: [UInt8]) throws -> Pickle {
        var machine = PickleMachine(bytes)
        return try machine.run()
    }

    /// The error of a pickle whose bytes are given as text, where \u{80} and above stand for the byte of that number.
    private func error(_ text: String) -> String? {
        do {
            _ = try run(text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
            return nil
        } catch {
            return (error as? PickleError)?.what
        }
    }

    /// Length and bytes of a BINUNICODE.
    private func text(_ text: String) -> [UInt8] {
        let count = UInt32(text.utf8.count)
        return [0x58] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + Array(text.utf8)
    }

    /// A storage of `count` floats, then tensors of it by (offset, sizes, strides); numbers are BININTs.
    private func tensor(count: Int32, offset: Int32, sizes: [Int32], strides: [Int32]) -> [UInt8] {
        func integer(_ value: Int32) -> [UInt8] {
            [0x4A] + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        func tuple(_ values: [Int32]) -> [UInt8] { [0x28] + values.flatMap(integer) + [0x74] }
        let storage = [0x28] + text("storage") + Array("ctorch\nFloatStorage\n".utf8) + text("0") + text("cpu") + integer(count) + [0x74, 0x51]
        return Array("ctorch._utils\n_rebuild_tensor_v2\n".utf8) + [0x28] + storage
            + integer(offset) + tuple(sizes) + tuple(strides) + [0x89, 0x7D, 0x74, 0x52, 0x2E]
    }

    @Test func tensorsStayInsideTheirStorage() throws {
        let good = try run(tensor(count: 6, offset: 1, sizes: [2, 2], strides: [3, 1]))
        #expect(good.tensors == [Pickle.Tensor(storage: 0, type: .read(.f32), offset: 1, shape: [2, 2], strides: [3, 1], count: 4)])
        #expect(good.storages == [Pickle.Storage(key: "0", type: .read(.f32), count: 6)])
        let cases: [([Int32], [Int32], Int32, String)] = [
            ([2, 2], [4, 1], 1, "reaches to element 6 of a storage of 6"), ([7], [1], 0, "reaches to element 6"),
            ([1], [1], 6, "reaches to element 6"), ([1], [1], -1, "impossible shape"), ([2], [-1], 1, "impossible shape"),
            ([-2, -3], [1, 1], 0, "impossible shape"), ([.max, .max, .max], [0, 0, 0], 0, "impossible shape"),
            ([2, 3, 2], [1, 1, 1], 0, "expanded"), ([7], [0], 0, "expanded"),
            ([2], [1, 1], 0, "not storage, offset, size and strides"), ([.max, .max], [.max, .max], 0, "reaches"), (Array(repeating: 1, count: 65), Array(repeating: 1, count: 65), 0, "65 dimensions"),
        ]
        for (sizes, strides, offset, part) in cases {
            let bytes = tensor(count: 6, offset: offset, sizes: sizes, strides: strides)
            do {
                _ = try run(bytes)
                Issue.record("\(sizes) \(strides) at \(offset) was taken")
            } catch let error as PickleError {
                #expect(error.what.contains(part), "\(sizes): \(error.what)")
            }
        }
        #expect(try run(tensor(count: 0, offset: 0, sizes: [0, 4], strides: [4, 1])).tensors[0].count == 0)
    }

    @Test("what the machine does not know or cannot do is named")
    func refuses() {
        let cases: [(String, String)] = [
            ("", "without STOP"), (".", "nothing left"), ("\u{80}\u{9}.", "protocol 9"), ("\u{FF}.", "unknown opcode 0xff"),
            ("I1\n.", "opcode INT,"), ("(ios\nsystem\n.", "opcode INST,"), ("\u{82}\u{1}.", "opcode EXT1,"), ("P1\n.", "opcode PERSID,"),
            ("cos\nsystem\n.", "os.system"), ("cbuiltins\nexec\n.", "builtins.exec"), ("cbuiltins\neval\n.", "builtins.eval"),
            ("ctorch.serialization\nos.system\n.", "torch.serialization.os.system"), ("csubprocess\nPopen\n.", "subprocess.Popen"),
            ("\u{8C}\u{2}os\u{8C}\u{6}system\u{93}.", "os.system"), ("KK\u{93}.", "something else than names"),
            ("ctorch.hub\nload\n.", "torch.hub.load"), ("ctorch\nload\n.", "torch.load"), ("cpickle\nloads\n.", "pickle.loads"),
            ("ctorch\nFloatStorage\n)R.", "call of a type"), ("K\u{1})R.", "call of something that is no name"),
            ("ctorch\nSize\nK\u{1}R.", "arguments that are no tuple"), ("ctorch\nSize\n)R.", "size that is no tuple"),
            ("ctorch._utils\n_rebuild_tensor_v2\n)R.", "storage, offset, size and strides"),
            ("ctorch._utils\n_rebuild_parameter\n)R.", "parameter without a tensor"), ("K\u{1}Q.", "arguments that are no tuple"),
            (")Q.", "no storage"), ("h\u{5}.", "nothing was remembered as 5"), ("q\u{5}.", "nothing to remember"), ("t.", "an end without a mark"),
            ("(K\u{1}", "without STOP"), ("((K\u{1}t0.", "nothing left"), ("]K\u{1}s.", "takes none"), ("]K\u{1}K\u{2}s.", "takes none"),
            ("}(K\u{1}u.", "key without a value"), ("(K\u{1}d.", "key without a value"), ("K\u{1}K\u{2}a.", "takes none"), ("]}b.", "a state for"),
            ("X\u{5}\0\0\0ab.", "5 bytes where 3 are left"), ("X\u{FF}\u{FF}\u{FF}\u{FF}ab.", "4294967295 bytes"),
            ("\u{8D}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}.", "bytes where 1 are left"), ("\u{8B}\u{FF}\u{FF}\u{FF}\u{FF}.", "-1 bytes"),
            ("X\u{1}\0\0\0\u{FF}.", "not UTF-8"), ("J\0", "inside a number"), ("cos", "inside a name"),
            ("cargparse\nNamespace\n)\u{81}]b.", "namespace of something"), ("ccollections\nOrderedDict\n(](K\u{1}K\u{2}tatR.", "list of pairs"),
        ]
        for (pickle, part) in cases {
            let what = error(pickle)
            #expect(what?.contains(part) == true, "\(pickle.debugDescription): \(what ?? "was read")")
        }
    }

    @Test("what is put into an object of an unknown class is dropped, and calling what it gives runs nothing")
    func opaqueObjects() throws {
        func value(_ text: String) throws -> Pickle.Value { try run(text.unicodeScalars.map { UInt8($0.value) }).root }
        for pickle in [
            "ca\nB\n)\u{81}.", "ca\nB\n)R.", "ca\nB\n)\u{81}}b.", "ca\nB\n)\u{81}K\u{1}a.", "ca\nB\n)\u{81}(K\u{1}K\u{2}e.",
            "ca\nB\n)\u{81}K\u{1}K\u{2}s.", "ca\nB\n)\u{81}(K\u{1}K\u{2}u.", "ca\nB\n)\u{81}(K\u{1}\u{90}.", "ca\nB\n)}\u{92}.",
            "ca\nB\n)R)R.", "ca\nB\n)\u{81}N}\u{86}b.",
        ] {
            #expect(try value(pickle) == .opaque("a.B"), "\(pickle.debugDescription)")
        }
        #expect(try value("cbuiltins\ngetattr\nca\nB\nX\u{1}\0\0\0c\u{86}R)R.") == .opaque("getattr"))
        #expect(try run(Array("ca\nB\n)R.".utf8)).passedOver == ["a.B"])
    }

    @Test func numbers() throws {
        func value(_ text: String) throws -> Pickle.Value { try run(text.unicodeScalars.map { UInt8($0.value) }).root }
        #expect(try value("\u{8A}\0.") == .integer(0))
        #expect(try value("\u{8A}\u{1}\u{FF}.") == .integer(-1))
        #expect(try value("\u{8A}\u{2}\u{FF}\0.") == .integer(255))
        #expect(try value("\u{8A}\u{8}\0\0\0\0\0\0\0\u{80}.") == .integer(.min))
        #expect(try value("\u{8A}\u{9}\0\0\0\0\0\0\0\u{80}\0.") == .opaque("int"))
        #expect(try value("J\u{FE}\u{FF}\u{FF}\u{FF}.") == .integer(-2))
        #expect(try value("M\u{1}\u{80}.") == .integer(0x8001))
        #expect(try value("G\u{BF}\u{F8}\0\0\0\0\0\0.") == .real(-1.5))
    }

    @Test("a million levels deep or in a circle, nothing recurses")
    func depth() throws {
        let deep = try run([0x4E] + [UInt8](repeating: 0x85, count: 1_000_000) + [0x2E])
        #expect(deep.containers.count == 1_000_000)
        #expect(throws: PickleError.self) { _ = try PickleOutline(deep) }
        // A list that holds itself.
        let circle = try run([0x5D, 0x71, 0x00, 0x68, 0x00, 0x61, 0x2E])
        #expect(throws: PickleError.self) { _ = try PickleOutline(circle) }
    }

    @Test("lists of the same lists unfold to no more than the file justifies")
    func bomb() throws {
        // l0 = [[], []], l1 = [l0, l0], ...: 2^30 paths.
        var bytes: [UInt8] = [0x5D, 0x71, 0x00]
        for _ in 0..<30 { bytes += [0x5D, 0x28, 0x68, 0x00, 0x68, 0x00, 0x65, 0x71, 0x00] }
        let pickle = try run(bytes + [0x2E])
        #expect(throws: PickleError.self) { _ = try PickleOutline(pickle) }
    }

    @Test("a long list that lies at many paths is not read once for each")
    func longListAtManyPaths() throws {
        // [l, l, ...] of a list l of 5000 times None: 2.5 million items to look at in 6 KB, and a 1000 times that in 200 KB.
        let long = [0x5D, 0x71, 0x00, 0x28] + [UInt8](repeating: 0x4E, count: 5000) + [0x65]
        let many = [0x5D, 0x28] + [[UInt8]](repeating: [0x68, 0x00], count: 500).joined() + [0x65, 0x2E]
        let pickle = try run(long + many)
        #expect(throws: PickleError.self) { _ = try PickleOutline(pickle) }
    }

    @Test("a dictionary whose keys are passed over, at thousands of paths, justifies no endless search")
    func namelessItemsAtManyPaths() throws {
        let nameless = [0x7D, 0x71, 0x00, 0x28] + [UInt8](repeating: 0x4E, count: 200_000) + [0x75]
        let many = [0x5D, 0x28] + [[UInt8]](repeating: [0x68, 0x00], count: 2000).joined() + [0x65, 0x2E]
        let pickle = try run(nameless + many)
        #expect(throws: PickleError.self) { _ = try PickleOutline(pickle) }
    }

    @Test("nothing is read through a storage whose size nobody knows")
    func storageOfUnknownSize() throws {
        func integer(_ value: Int32) -> [UInt8] { [0x4A] + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        let storage = [0x28] + text("storage") + Array("ctorch\nWeirdStorage\n".utf8) + text("0") + text("cpu") + integer(1_000_000) + [0x74, 0x51]
        let shape = [0x28] + integer(4) + [0x74] + [0x28] + integer(1) + [0x74]
        let tensor = Array("ctorch._utils\n_rebuild_tensor_v3\n".utf8) + [0x28] + storage + integer(0) + shape
            + [0x89, 0x7D] + Array("ctorch\nfloat32\n".utf8) + [0x74, 0x52, 0x2E]
        do {
            _ = try run(tensor)
            Issue.record("a tensor of a storage of unknown size was taken")
        } catch let error as PickleError {
            #expect(error.what.contains("of a storage of 0"), "\(error.what)")
        }
    }

    @Test("attributes copied a thousand times justify no endless search")
    func copiedAttributes() throws {
        // A namespace that takes 1000 attributes 1000 times over, at 100 paths.
        let attributes = [0x7D, 0x71, 0x00, 0x28] + [[UInt8]](repeating: [0x4B, 0x01, 0x4E], count: 1000).joined() + [0x75, 0x30]
        let namespace = Array("cargparse\nNamespace\n)R".utf8) + [0x71, 0x01] + [[UInt8]](repeating: [0x68, 0x00, 0x62], count: 1000).joined()
        let many = [0x30, 0x5D, 0x28] + [[UInt8]](repeating: [0x68, 0x01], count: 100).joined() + [0x65, 0x2E]
        let pickle = try run(attributes + namespace + many)
        #expect(pickle.containers.map(\.items.count).max() == 2_000_000)
        #expect(throws: PickleError.self) { _ = try PickleOutline(pickle) }
    }

    @Test func endlessValuesAreRefused() {
        let text = error(String(repeating: "N", count: 8_000_001) + ".")
        #expect(text?.contains("more than 8000000 values") == true)
    }
}
