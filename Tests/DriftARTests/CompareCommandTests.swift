import Foundation
import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// `driftgpu compare` from a row's text to the files it leaves.
@Suite(.serialized) struct CompareCommandTests {
    private static let small =
        " --embed 16 --heads 2 --mlp-ratio 2 --labels-per-step 2 --samples-per-label 2 --set head.width=16 --set head.depth=1"
        + " --log-every 1 --sample-every 0"
    private static let compare = "compare --per-label 2 --classifier-steps 3 --repetitions 1 --output table "

    /// A run of masked and one of causal autoregression, whose heads draw in one step and in few.
    private func runs() throws -> TestFolder {
        let folder = try TestFolder()
        let mar = " --set stage.encoderDepth=1 --set stage.decoderDepth=1"
        for line in [
            "train --preset digits-mar --model mar-energy --steps 3 --output mar" + Self.small + mar,
            "train --preset digits-causal --steps 3 --output causal --set stage.depth=1" + Self.small,
        ] {
            let trained = try folder.run(line)
            #expect(trained.code == 0, "\(trained.errors)")
        }
        return folder
    }

    private func rows(_ folder: TestFolder) throws -> [JSON] {
        try #require(try JSON.parse(Files.read(folder.file("table/compare.json")))["rows"]?.array)
    }

    @Test("a table of two stages, computed once; new rows and changed weights alone are computed anew")
    func table() throws {
        let folder = try runs()
        let line = Self.compare + "mar mar,rounds=4,cfg=1.5,name=four"
        let first = try folder.run(line)
        #expect(first.code == 0, "\(first.errors)")
        // Of each row: judged, taken apart, batches and an image timed.
        #expect(first.errors.contains("8 figures computed, 0 kept before"), "\(first.errors)")
        let page = try folder.text("table/compare.html")
        #expect(page.components(separatedBy: "data:image/png;base64,").count == 3)
        let second = try folder.run(line)
        #expect(second.code == 0 && second.errors.contains("0 figures computed, 8 kept before"), "\(second.errors)")
        #expect(second.output == first.output)

        let more = line + " causal,parallel=2,tolerance=0.1 mar,rounds=2,baseline=four"
        let third = try folder.run(more)
        #expect(third.code == 0 && third.errors.contains("8 figures computed, 8 kept before"), "\(third.errors)")
        for part in ["16 rounds", "4 rounds, cfg 1.5", "2 tokens a pass, the last pass's guesses, tolerance 0.1", "table/compare.html"] {
            #expect(third.output.contains(part), "\(part) in \(third.output)")
        }
        try expectFigures(rows(folder))

        // Two more steps are other weights.
        #expect(try folder.run("train --resume --output causal --steps 5").code == 0)
        let fourth = try folder.run(more)
        #expect(fourth.code == 0 && fourth.errors.contains("4 figures computed, 12 kept before"), "\(fourth.errors)")
        // A picture that is gone is drawn again with its figures.
        let pictures = try Files.names(in: folder.file("table/kept")).filter { $0.hasSuffix(".png") }
        for name in pictures { try Files.removeTree(folder.file("table/kept/" + name)) }
        let fifth = try folder.run(more)
        #expect(fifth.code == 0 && fifth.errors.contains("4 figures computed, 12 kept before"), "\(fifth.errors)")
    }

    private func expectFigures(_ rows: [JSON]) {
        #expect(rows.map { $0["baseline"]?.string } == [nil, "mar", nil, "four"])
        for row in rows {
            func value(_ key: String) -> Double { row[key]?.double ?? 0 }
            #expect(value("image_ms") > 0 && value("images_per_second") > 0 && value("training_seconds") > 0)
            #expect(value("flops") > 1e5 && value("bytes") > 1e5 && value("launches") > 10)
            #expect(row["accuracy"]?.double != nil && row["unfinished"] == .null)
            let shares = ["stage_share", "head_share", "loop_share"].map(value)
            #expect(shares.allSatisfy { $0 > 0 } && abs(shares.reduce(0, +) - 1) < 1e-9, "\(shares)")
        }
    }

    @Test("what is no row is one line; an unfinished run is one, and is said to be so")
    func errors() throws {
        let folder = try runs()
        try unfinished(folder)
        try wrong(folder)
    }

    private func unfinished(_ folder: TestFolder) throws {
        var settings = try RunFolder(folder.file("mar")).configuration()
        settings.run.steps = 10
        try folder.write([UInt8](settings.json()), to: "mar/config.json")
        let result = try folder.run(Self.compare + "mar")
        #expect(result.code == 0 && result.output.contains("mar (step 3 of 10)"), "\(result.errors)")
        #expect(try rows(folder)[0]["unfinished"] == .array([.integer(3), .integer(10)]))
    }

    private func wrong(_ folder: TestFolder) throws {
        func expect(_ rows: String, says part: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
            try folder.expectError(Self.compare + rows, says: part, sourceLocation: sourceLocation)
        }
        try expect("nowhere", says: "nowhere: no such file or folder")
        try expect("mar,round=4", says: "row mar,round=4: Unknown option 'round'. Did you mean 'rounds'?")
        try expect("mar,rounds=x", says: "row mar,rounds=x: The value 'x' is invalid for 'rounds <n>': take a whole number")
        try expect("mar,rounds", says: "Missing value for 'rounds")
        try expect("mar,", says: "an option is empty")
        try expect(",rounds=4", says: "begins with no run")
        try expect("mar,rounds=4,rounds=8", says: "rounds is given twice")
        try expect("mar,help", says: "help is no option of a row")
        try expect("mar,parallel=3", says: "row mar,parallel=3: parallel: nothing that a model of mar x energy draws by")
        try expect("causal,rounds=4", says: "rounds: nothing that a model of causal x energy draws by")
        try expect("mar,rounds=99", says: "rounds 99")
        try expect("mar,cfg=nan", says: "cfg nan: take a finite number")
        try expect("mar,speculative", says: "speculative: the stage mar has no draft of features")
        try expect("mar,spec-gamma=1", says: "spec-gamma: only goes with speculative")
        try expect("mar mar", says: "mar: two rows are called so")
        try expect("mar causal,name=mar", says: "two rows are called so")
        try expect("mar causal,baseline=none", says: "causal: baseline=none: no such row; there is 1 mar, 2 causal")
        try expect("mar causal,baseline=3", says: "no such row")
        try folder.write("", to: "file")
        try folder.expectError("compare mar --output file/table", says: "file")
        try folder.expectError("compare mar --classifier mar/config.json", says: "mar/config.json")

        // Other images: of the same form, but fewer of them for training.
        var settings = try RunFolder(folder.file("causal")).configuration()
        settings.data.holdOut = 3
        let path = folder.file("causal/checkpoints/step-00000003/ema.safetensors")
        let weights = try SafeTensors.read(path)
        try SafeTensors.write(
            weights.tensors, metadata: ["format": "pt", "driftgpu.config": String(decoding: settings.json(), as: UTF8.self)],
            to: folder.file("other.safetensors"))
        try expect("mar other.safetensors", says: "other.safetensors: trained on the digits the program carries (1x8x8, 10 classes, 1 in 3 held out), mar on")
    }
}
