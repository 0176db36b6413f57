import TestSupport
import Testing
@testable import DriftAR
@testable import DriftFormats

@Suite struct SafeTensorsTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func sample() throws -> [String: NamedTensor] {
        [
            "weight": try NamedTensor(shape: [2, 3], floats: [1, -2.5, .leastNonzeroMagnitude, .infinity, 0, -0.0]),
            "labels": try NamedTensor(shape: [3], ints: [-1, 0, .max]),
            "steps": try NamedTensor(shape: [], longs: [.min]),
            "flags": try NamedTensor(shape: [5], bytes: [0, 1, 2, 254, 255]),
            "empty": try NamedTensor(shape: [0, 7], floats: []),
            "größe \"\\\n": try NamedTensor(shape: [1], floats: [7]),
        ]
    }

    /// A file of a header text and some data, as a stranger could have written it.
    private func open(_ header: String, data: Int = 0) throws -> SafeTensorsFile {
        let length = (0..<8).map { UInt8(truncatingIfNeeded: UInt64(header.utf8.count) >> UInt64(8 * $0)) }
        let path = try folder.write(length + Array(header.utf8) + [UInt8](repeating: 0, count: data), to: "made.safetensors")
        return try SafeTensorsFile(path)
    }

    @Test func roundTrip() throws {
        let path = folder.file("a.safetensors")
        let tensors = try sample()
        try SafeTensors.write(tensors, metadata: ["format": "pt", "note": "ü\u{1}"], to: path)
        let read = try SafeTensors.read(path)
        #expect(read.tensors == tensors)
        #expect(read.metadata == ["format": "pt", "note": "ü\u{1}"])
        #expect(try Files.names(in: folder.path) == ["a.safetensors"])
    }

    @Test func bytesDependOnContentsAlone() throws {
        try SafeTensors.write(try sample(), to: folder.file("a"))
        try SafeTensors.write(Dictionary(uniqueKeysWithValues: try sample().sorted { $0.key > $1.key }), to: folder.file("b"))
        #expect(try Files.read(folder.file("a")) == Files.read(folder.file("b")))
    }

    @Test func emptyFileOfNoTensors() throws {
        try SafeTensors.write([:], to: folder.file("none"))
        #expect(try SafeTensors.read(folder.file("none")).tensors.isEmpty)
    }

    @Test func readsIntoBuffers() throws {
        let path = folder.file("a.safetensors")
        try SafeTensors.write(try sample(), to: path)
        let file = try SafeTensorsFile(path)
        var values = [Int32](repeating: 9, count: 3)
        try values.withUnsafeMutableBytes { try file.read("labels", into: $0) }
        #expect(values == [-1, 0, .max])
        #expect(throws: DataError.self) { try values.withUnsafeMutableBytes { try file.read("flags", into: $0) } }
        let text = errorText { _ = try file.floats("weight", shape: [3, 2]) }
        #expect(text?.contains("'weight' has the shape [2, 3], the model needs [3, 2]") == true)
        #expect(errorText { _ = try file.tensor("nothing") }?.contains("no tensor 'nothing'") == true)
        #expect(throws: DataError.self) { _ = try file.floats("labels") }
    }

    @Test func convertsHalfTypes() throws {
        let halves: [UInt16] = [0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000, 0x7C00, 0x0400]
        let expected: [Float] = [1, -2, 0x1p-24, 65504, -0.0, .infinity, 0x1p-14]
        #expect(halves.map(HalfPrecision.float(half:)) == expected)
        #expect(HalfPrecision.float(half: 0x7E00).isNaN)
        let file = try open(#"{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},"u":{"dtype":"U16","shape":[1],"data_offsets":[6,8]}}"#, data: 8)
        #expect(try file.tensor("h").floats == [0, 0])
        #expect(try file.tensor("b").floats == [0])
        #expect(errorText { _ = try file.tensor("u") }?.contains("U16") == true)
    }

    @Test(arguments: [
        ("hole", #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#, 8),
        ("overlap", #"{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#, 8),
        ("too much data", #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 8),
        ("too little data", #"{"a":{"dtype":"U8","shape":[40],"data_offsets":[0,40]}}"#, 8),
        ("shape against bytes", #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
        ("overflowing shape", #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, 8),
        ("overflow hidden by zero", #"{"a":{"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}}"#, 0),
        ("overflowing bytes", #"{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}}"#, 0),
        ("negative dimension", #"{"a":{"dtype":"U8","shape":[-1,-8],"data_offsets":[0,8]}}"#, 8),
        ("fractional dimension", #"{"a":{"dtype":"U8","shape":[8.0],"data_offsets":[0,8]}}"#, 8),
        ("backward offsets", #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}}"#, 8),
        ("negative offsets", #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[-8,0]}}"#, 8),
        ("extreme offsets", #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[9223372036854775807,9223372036854775807]}}"#, 0),
        ("three offsets", #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8,8]}}"#, 8),
        ("unknown type beyond the data", #"{"a":{"dtype":"Q3","shape":[8],"data_offsets":[0,9]}}"#, 8),
        ("type no string", #"{"a":{"dtype":3,"shape":[8],"data_offsets":[0,8]}}"#, 8),
        ("missing field", #"{"a":{"dtype":"U8","shape":[8]}}"#, 8),
        ("unknown field", #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8],"x":1}}"#, 8),
        ("repeated name, then a hole", #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#, 8),
        ("repeated field", #"{"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, 8),
        ("metadata twice", #"{"__metadata__":{},"__metadata__":{}}"#, 0),
        ("entry no object", #"{"a":[1]}"#, 0),
        ("metadata no strings", #"{"__metadata__":{"a":1}}"#, 0),
        ("metadata no object", #"{"__metadata__":"a"}"#, 0),
        ("array at the top", "[]", 0),
        ("no JSON", "{]", 0),
        ("depth bomb", "{\"a\":" + String(repeating: "[", count: 100_000), 0),
    ])
    func refuses(_ name: String, _ header: String, _ data: Int) {
        let text = errorText { _ = try open(header, data: data) }
        #expect(text?.contains("made.safetensors") == true, "\(name)")
        #expect(text?.contains("\n") == false)
    }

    @Test("what Hugging Face's reader takes is taken: metadata of null, and of repeated names the last")
    func lenientHeaders() throws {
        let empty = try open(#"{"__metadata__":null,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4)
        #expect(try empty.metadata.isEmpty && empty.floats("a") == [0])
        let twice = try open(
            #"{"__metadata__":{"k":"1","k":"2"},"a":{"dtype":"Q3","shape":[9],"data_offsets":[3,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            data: 4)
        #expect(try twice.metadata == ["k": "2"] && twice.floats("a") == [0] && twice.foreign.isEmpty)
    }

    @Test("a type that is not read leaves the rest of the file readable")
    func foreignTypes() throws {
        let file = try open(
            #"{"a":{"dtype":"F4\n","shape":[2,3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}"#, data: 4)
        #expect(try file.tensor("b").bytes == [0] && file.names == ["b"])
        #expect(file.foreign == ["a": ForeignTensor(type: "F4\n", shape: [2, 3])])
        #expect(errorText { _ = try file.floats("a") }?.contains("'a' has the element type F4?, which this program does not read") == true)
        #expect(WeightOutline(file).text.contains("  a F4? [2, 3], a type that is not read"))
    }

    @Test("8-bit floats are those of PyTorch, all 256 of either kind")
    func float8() throws {
        let file = try SafeTensorsFile(PyTorchFixtures.path("float8.safetensors"))
        let expected = try PyTorchFixtures.expected("float8.pth")
        #expect(file.names == expected.keys.sorted())
        for (name, tensor) in expected {
            let values = try file.floats(name, shape: tensor.shape)
            let wanted = try #require(tensor.floats)
            #expect(zip(values, wanted).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }, "\(name)")
        }
        let (e4m3, e5m2) = (Float8.e4m3, Float8.e5m2)
        #expect((e4m3[0x38], e4m3[0x7E], e4m3[0x01], e4m3[0xFE]) == (1, 448, 0x1p-9, -448) && e4m3[0x7F].isNaN)
        #expect((e5m2[0x3C], e5m2[0x7B], e5m2[0x01], e5m2[0xFC]) == (1, 57344, 0x1p-16, -.infinity))
    }

    @Test func refusesEveryTruncation() throws {
        let path = folder.file("a.safetensors")
        try SafeTensors.write(try sample(), metadata: ["k": "v"], to: path)
        let bytes = try Files.read(path)
        for length in 0..<bytes.count {
            try folder.write(Array(bytes[..<length]), to: "cut")
            #expect(throws: DataError.self, "cut at \(length)") { _ = try SafeTensors.read(folder.file("cut")) }
        }
        try folder.write(bytes + [0], to: "cut")
        #expect(throws: DataError.self) { _ = try SafeTensors.read(folder.file("cut")) }
    }

    @Test func survivesEveryFlippedBitOfTheHeader() throws {
        let path = folder.file("a.safetensors")
        try SafeTensors.write(try sample(), to: path)
        let bytes = try Files.read(path)
        let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
        for i in 0..<header {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[i] ^= 1 << UInt8(bit)
                try folder.write(damaged, to: "flipped")
                // A flip inside a name or a shape can leave a valid file; any other is an error, none is a crash.
                do {
                    _ = try SafeTensors.read(folder.file("flipped"))
                } catch {
                    #expect(error is DataError)
                }
            }
        }
    }

    @Test func hugeHeaderLengthTakesNoMemory() throws {
        try folder.write([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7B, 0x7D], to: "huge")
        #expect(errorText { _ = try SafeTensorsFile(folder.file("huge")) }?.contains("header of") == true)
    }

    @Test func controlCharactersStayOutOfErrors() throws {
        let text = errorText { _ = try open(#"{"a\n\u001b[2J":1}"#) }
        #expect(text?.contains("a??[2J") == true)
    }

    @Test func namesFoldersAndMissingFiles() throws {
        #expect(errorText { _ = try SafeTensorsFile(folder.path) }?.contains("not a regular file") == true)
        #expect(errorText { _ = try SafeTensorsFile(folder.file("no")) }?.contains("No such file") == true)
    }

    @Test func tensorShapesMustFit() {
        #expect(throws: DataError.self) { _ = try NamedTensor(shape: [2, 2], floats: [1]) }
        #expect(throws: DataError.self) { _ = try NamedTensor(shape: [-1, -1], floats: [1]) }
        #expect(throws: DataError.self) { _ = try NamedTensor(shape: [.max, 2], floats: []) }
    }

    @Test func reservedName() throws {
        let tensor = try NamedTensor(shape: [1], floats: [1])
        #expect(throws: DataError.self) { try SafeTensors.write(["__metadata__": tensor], to: folder.file("x")) }
        #expect(try Files.names(in: folder.path).isEmpty)
    }
}
