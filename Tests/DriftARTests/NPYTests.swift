import Testing
@testable import DriftAR

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

    @Test func refusesOtherTypes() throws {
        #expect(throws: DataError.self) { try NPY.write(NamedTensor(shape: [1], longs: [1]), to: folder.file("a.npy")) }
        #expect(throws: DataError.self) { try NPY.write(NamedTensor(shape: [1], bytes: [1]), to: folder.file("a.npy")) }
    }
}
