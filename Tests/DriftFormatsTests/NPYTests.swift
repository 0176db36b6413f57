import TestSupport
import Testing
@testable import DriftFormats

@Suite struct NPYTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    @Test(arguments: [[], [1], [6], [2, 3], [1, 2, 3, 1], [0], [3, 0]])
    func roundTrip(_ shape: [Int]) throws {
        let count = shape.reduce(1, *)
        let floats = try NamedTensor(shape: shape, floats: (0..<count).map { Float($0) / 3 })
        let ints = try NamedTensor(shape: shape, ints: (0..<count).map { -Int32($0) })
        for tensor in [floats, ints] {
            try NPY.write(tensor, to: folder.file("a.npy"))
            #expect(try NPY.read(folder.file("a.npy")) == tensor)
        }
    }

    @Test func layout() throws {
        try NPY.write(NamedTensor(shape: [2], floats: [1, 2]), to: folder.file("a.npy"))
        let bytes = try Files.read(folder.file("a.npy"))
        #expect(bytes.count == 128 + 8 || bytes.count == 64 + 8)
        #expect((bytes.count - 8) % 64 == 0)
        #expect(String(decoding: bytes[10...50], as: UTF8.self).hasPrefix("{'descr': '<f4', 'fortran_order': False,"))
    }

    @Test func survivesDamage() throws {
        try NPY.write(NamedTensor(shape: [2, 5], ints: (0..<10).map { $0 }), to: folder.file("a.npy"))
        let bytes = try Files.read(folder.file("a.npy"))
        for length in 0..<bytes.count {
            try folder.write(Array(bytes[..<length]), to: "cut.npy")
            #expect(throws: DataError.self) { _ = try NPY.read(folder.file("cut.npy")) }
        }
        for i in 0..<80 {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[i] ^= 1 << UInt8(bit)
                try folder.write(damaged, to: "flipped.npy")
                _ = try? NPY.read(folder.file("flipped.npy"))
            }
        }
    }

    /// A file as NumPy writes it.
    private func array(_ type: String, _ shape: String, _ data: [UInt8], fortran: String = "False", version: UInt8 = 1) throws -> String {
        let header = Array("{'descr': '\(type)', 'fortran_order': \(fortran), 'shape': (\(shape)), }\n".utf8)
        let length = [UInt8(header.count), 0] + (version == 1 ? [] : [0, 0])
        return try folder.write([0x93] + Array("NUMPY".utf8) + [version, 0] + length + header + data, to: "numpy.npy")
    }

    private func bytes<Number: BitwiseCopyable>(_ numbers: [Number]) -> [UInt8] { numbers.withUnsafeBytes(Array.init) }

    @Test("every type of number that NumPy writes") func types() throws {
        let reals: [Float] = [0, -1, 0.5, 65504, 1 / 3]
        #expect(try NPY.read(array("<f4", "5,", bytes(reals))).floats == reals)
        #expect(try NPY.read(array("<f8", "5,", bytes(reals.map(Double.init)))).floats == reals)
        #expect(try NPY.read(array(">f4", "5,", bytes(reals.map(\.bitPattern.bigEndian)))).floats == reals)
        // 0, -1, 0.5, 65504 and the half nearest to a third.
        let halves: [UInt16] = [0, 0xBC00, 0x3800, 0x7BFF, 0x3555]
        #expect(try NPY.read(array("<f2", "5,", bytes(halves))).floats == [0, -1, 0.5, 65504, 0.333251953125])
        #expect(try NPY.read(array("|u1", "3,", [0, 128, 255])).bytes == [0, 128, 255])
        #expect(try NPY.read(array("|b1", "2,", [0, 1])).bytes == [0, 1])
        #expect(try NPY.read(array("|i1", "2,", [0x80, 0x7F])).ints == [-128, 127])
        #expect(try NPY.read(array("<i2", "2,", bytes([Int16.min, 5]))).ints == [-32768, 5])
        #expect(try NPY.read(array("<u2", "2,", bytes([UInt16.max, 5]))).ints == [65535, 5])
        #expect(try NPY.read(array("<u4", "2,", bytes([UInt32.max, 5]))).longs == [4_294_967_295, 5])
        #expect(try NPY.read(array("<i8", "2,", bytes([Int64.min, 5]))).longs == [.min, 5])
        #expect(try NPY.read(array(">i8", "2,", bytes([Int64(-3).bigEndian, Int64(5).bigEndian]))).longs == [-3, 5])
        #expect(try NPY.read(array("<u8", "1,", bytes([UInt64(7)]))).longs == [7])
        #expect(errorText { _ = try NPY.read(array("<u8", "1,", bytes([UInt64.max]))) }?.contains("beyond int64") == true)
    }

    @Test("Fortran's order and longer headers") func layouts() throws {
        // The element (i, j, k) of 2 x 3 x 2 is 100 i + 10 j + k.
        let fortran: [Int32] = [0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121]
        let expected: [Int32] = [0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121]
        #expect(try NPY.read(array("<i4", "2, 3, 2", bytes(fortran), fortran: "True")).ints == expected)
        for version: UInt8 in [1, 2, 3] {
            #expect(try NPY.read(array("<i4", "12,", bytes(expected), version: version)).ints == expected)
        }
        #expect(errorText { _ = try NPY.read(array("<i4", "12,", bytes(expected), version: 4)) }?.contains("version 1 to 3") == true)
    }

    @Test func refusesOtherTypes() throws {
        for (type, part) in [("<c8", "the type <c8"), ("|O", "the type |O"), ("<U3", "the type <U3"), ("<f16", "the type <f16")] {
            #expect(errorText { _ = try NPY.read(array(type, "1,", [0, 0, 0, 0, 0, 0, 0, 0])) }?.contains(part) == true, "\(type)")
        }
        #expect(errorText { _ = try NPY.read(array("<f4", "3,", [0, 0, 0, 0])) }?.contains("4 bytes of data for the shape [3]") == true)
        #expect(errorText { _ = try NPY.read(array("<f4", "-1,", [])) }?.contains("impossible shape") == true)

        #expect(throws: DataError.self) { try NPY.write(NamedTensor(shape: [1], longs: [1]), to: folder.file("a.npy")) }
        #expect(throws: DataError.self) { try NPY.write(NamedTensor(shape: [1], bytes: [1]), to: folder.file("a.npy")) }
    }

    @Test("a 0 in a shape excuses no other size")
    func emptyShapes() {
        #expect(NamedTensor.elementCount(of: []) == 1 && NamedTensor.elementCount(of: [3, 0, 4]) == 0)
        for shape in [[0, 1 << 40, 1 << 40, 3], [1 << 40, 1 << 40, 0], [0, -1], [-1, 0]] {
            #expect(NamedTensor.elementCount(of: shape) == nil, "\(shape)")
        }
    }
}
