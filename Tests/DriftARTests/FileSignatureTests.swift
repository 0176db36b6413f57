import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

@Suite struct FileSignatureTests {
    @Test("what is no file of weights is named for what it is", arguments: [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:11\nsize 2403452\n", "git lfs pull"),
        ("<!DOCTYPE html><html><title>Too many requests</title></html>", "a web page"), ("\n <HTML>", "a web page"),
        ("{\"weights\": 3}\n", "a JSON file"), ("Entry not found", "a text file (\"Entry not found\"), not weights"),
        ("Zugriff verweigert: für Gäste gesperrt", "a text file"), ("", "an empty file"), ("GGUF\u{3}\0\0\0\0", "a GGUF file"),
        ("%PDF-1.4 and so on", "a PDF document"), ("\u{7F}ELF\u{2}\u{1}\u{1}\0\0", "a program"),
    ])
    func texts(_ contents: String, _ part: String) throws {
        let folder = try TestFolder()
        try expect(Array(contents.utf8), part, folder)
    }

    @Test("a character that the end of what is looked at cuts in two is no reason against text", arguments: 500..<516)
    func cutCharacters(_ count: Int) throws {
        let folder = try TestFolder()
        try expect(Array(("<html>" + String(repeating: "a", count: count - 6) + "ü€" + String(repeating: "b", count: 600)).utf8), "a web page", folder)
    }

    @Test("packed files say how to unpack them", arguments: [
        ([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], "gunzip"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, 0, 4, 0xE6], "unxz"),
        ([0x42, 0x5A, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53], "bunzip2"), ([0x28, 0xB5, 0x2F, 0xFD, 4, 0, 1, 0, 0], "unzstd"),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C, 0, 4, 0], "7z"), ([0x50, 0x4B, 0x05, 0x06] + [UInt8](repeating: 0, count: 18), "zip file that holds nothing"),
        ([0x80, 0x04, 0x95, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x7D, 0x2E], "a pickle of Python"), ([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A], "HDF5"),
        ([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, 0x76, 0], "numpy (.npy)"), ([0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46], "a JPEG picture"),
        ([1, 2, 3], "too short"), ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "header of"),
    ])
    func binaries(_ contents: [UInt8], _ part: String) throws {
        let folder = try TestFolder()
        try expect(contents, part, folder)
    }

    @Test func tar() throws {
        let folder = try TestFolder()
        try expect(Array("model.pth".utf8) + [UInt8](repeating: 0, count: 248) + Array("ustar\u{0}00".utf8) + [UInt8](repeating: 0, count: 300), "tar -xf", folder)
    }

    @Test("zip files that torch.save did not write are named by what they hold")
    func archives() throws {
        let folder = try TestFolder()
        for (name, part) in [("arr_0.npy", "numpy (.npz)"), ("model.safetensors", "a zip file that holds model.safetensors"), ("notes.txt", "a zip file of notes.txt, without")] {
            try expect(emptyEntry(name), part, folder)
        }
    }

    /// A zip file of one empty entry.
    private func emptyEntry(_ name: String) -> [UInt8] {
        let length = [UInt8(name.utf8.count), 0]
        let local = [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 22) + length + [0, 0] + Array(name.utf8)
        let directory = [0x50, 0x4B, 1, 2] + [UInt8](repeating: 0, count: 24) + length + [UInt8](repeating: 0, count: 16) + Array(name.utf8)
        return local + directory + [0x50, 0x4B, 5, 6, 0, 0, 0, 0, 1, 0, 1, 0, UInt8(directory.count), 0, 0, 0, UInt8(local.count), 0, 0, 0, 0, 0]
    }

    private func expect(_ contents: [UInt8], _ part: String, _ folder: TestFolder) throws {
        let path = try folder.write(contents, to: "weights.pth")
        let text = errorText { _ = try WeightFile.open(path) }
        #expect(text?.contains(part) == true && text?.contains("weights.pth") == true && text?.contains("\n") == false, "\(text ?? "was read")")
    }
}
