import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftData
@testable import DriftFormats

@Suite(.serialized) struct LatentCommandTests {
    @Test("pictures with a part that is held out leave all their latents to train on, others hold out the same pictures again")
    func heldOut() throws {
        let folder = try TestFolder()
        for (part, count) in [("train", 5), ("validation", 2)] {
            for (shade, name) in ["a", "b"].enumerated() {
                try Files.makeFolder(folder.file("apart/\(part)/\(name)"))
                for number in 0..<count {
                    let pixels = (0..<64).map { UInt8(truncatingIfNeeded: $0 * (number + 2) + 100 * shade) }
                    try PNG.write(Picture(width: 8, height: 8, channels: 1, pixels: pixels), to: folder.file("apart/\(part)/\(name)/\(number).png"))
                }
            }
        }
        try SafeTensors.write(TinyVAE.tensors(), to: folder.file("vae.safetensors"))
        for (data, held) in [("apart", 0), ("apart/train", 2)] {
            let result = try folder.run("cache --data \(data) --vae vae.safetensors --size 8 --output latents\(held)")
            #expect(result.code == 0 && result.output.contains("10 images"), "\(result)")
            let latents = try DataSource.open(folder.file("latents\(held)"))
            var options = DataSource.Options()
            (options.height, options.width) = (8, 8)
            let pictures = try DataSource.open(folder.file(data), options)
            #expect(latents.training.count == 10 - held && latents.heldOut.count == held)
            // Of the pictures the same: the last of each class.
            if held > 0 { #expect(pictures.heldOut.count == held && pictures.heldOut.index.labels == latents.heldOut.index.labels) }
            #expect(pictures.training.index.labels == latents.training.index.labels)
        }
    }

    @Test("cache pictures, train on the latents, sample with and without the autoencoder")
    func wholeRun() throws {
        let folder = try TestFolder()
        for name in ["a", "b", "c"] {
            try Files.makeFolder(folder.file("data/" + name))
            for number in 0..<4 {
                let pixels = (0..<144).map { UInt8(truncatingIfNeeded: $0 * (number + 3) * (name == "a" ? 2 : 5)) }
                try PNG.write(Picture(width: 12, height: 12, channels: 1, pixels: pixels), to: folder.file("data/\(name)/\(number).png"))
            }
        }
        func run(_ line: String, _ code: Int32 = 0, says part: String) throws {
            let result = try folder.run(line)
            let said = code == 0 ? result.output : result.errors
            #expect(result.code == code && said.contains(part), "\(line): \(result)")
            if code == 1 { #expect(said.filter { $0 == "\n" }.count == 1, "\(said)") }
        }
        // A tiny autoencoder of gray pictures, as a file.
        try SafeTensors.write(TinyVAE.tensors(), to: folder.file("vae.safetensors"))
        let cache = "cache --data data --vae vae.safetensors --size 8 --shard 5 --output latents"
        try run(cache + " --flip", says: "12 images in latents")
        try run(cache + " --flip", says: "complete already")
        try run(cache, 1, says: "flipped differs")
        try run("cache --data data --size 8 --output other", 1, says: "--vae")
        try run("cache --data data --vae data --size 8 --output other", 1, says: "data")
        try run("cache --data data --vae vae.safetensors --size 9 --output other", 1, says: "multiples of 2")

        let small = " --embed 16 --heads 2 --mlp-ratio 2 --buffer 2 --encoder-depth 1 --decoder-depth 1 --draft-depth 1 --patch 1"
        try run(
            "train --latents latents --flip --vae vae.safetensors --hold-out 0 --steps 2 --labels-per-step 2 --samples-per-label 2 --positives 2 --output run" + small,
            says: "done")
        let grid = try PNG.read(folder.file("run/samples/step-00000002.png")).picture
        #expect(grid.height == 3 * 49 + 1)
        try run("sample --checkpoint run --per-label 2 --vae vae.safetensors --output decoded", says: "6 images")
        #expect(try PNG.read(folder.file("decoded/0000-00000.png")).picture.width == 8)
        try run("sample --checkpoint run --per-label 2 --output coloured", says: "6 images")
        #expect(try PNG.read(folder.file("coloured/0000-00000.png")).picture.width == 4)
        try run("sample --checkpoint run --vae random --vae-channels 7", 1, says: "latents of 7 channels")

        // Masked autoregression on the same latents; what its diagnostics hide are tokens of latents.
        try run(
            "train --latents latents --model mar-energy --hold-out 0 --steps 2 --labels-per-step 2 --samples-per-label 2 --output rounds --embed 16 --heads 2 --mlp-ratio 2 --buffer 2 --encoder-depth 2 --decoder-depth 2 --patch 1",
            says: "done")
        try run("analyze rounds --vae vae.safetensors", says: "hidden tokens")
        try run("analyze rounds --data data --output pictures", 1, says: "data: ")
        try run("train --latents data --output none", 1, says: "no latents.json")
        try run("train --latents latents --online-eval 1 --output none" + small, 1, says: "online-eval 1")

        try run("vae reconstruct data/a/1.png data/b/0.png --vae vae.safetensors --output pairs", says: " dB, pairs/001-0.png")
        let (pair, text) = try PNG.read(folder.file("pairs/000-1.png"))
        #expect((pair.width, pair.height) == (24, 12))
        #expect(text.contains { $0.key == "driftgpu.psnr" && Double($0.value) != nil })
        try run("vae reconstruct data/a/1.png --size 7 --vae vae.safetensors", 1, says: "multiples of 2")
        try run("vae reconstruct latents/latents.json --vae vae.safetensors", 1, says: "latents/latents.json")
        try run("vae reconstruct data/a/1.png --vae vae.safetensors --vae-seed 1", 64, says: "--vae random")
        try run("vae reconstruct data/a/1.png --seed 3 --output drawn " + TinyVAE.flags, says: " dB")
    }
}
