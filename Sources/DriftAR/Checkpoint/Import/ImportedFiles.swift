import DriftFormats
import Foundation

extension WeightImport {
    /// Writes what fits as 32-bit floats and gives the paths of the files.
    ///
    /// `output` ending in `.safetensors` is one file, of the EMA weights where there are any. Otherwise it is a folder: for
    /// `sample --checkpoint` and `train --config`, model.safetensors, ema.safetensors (the same again where there is no EMA)
    /// and config.json. An autoencoder has no folder. Checksums are compared first. Throws where something stands there
    /// already, unless `overwrite`.
    public func write(to output: String, overwrite: Bool = false) throws -> [String] {
        guard let model = parts.first, let last = parts.last else { return [] }
        for part in parts {
            try part.weights.source.verify(part.comparison.matched.values.map(part.weights.storedName))
        }
        let isFile = output.hasSuffix(".safetensors")
        guard isFile || kind != .kl16 else {
            throw DataError("an autoencoder is one file", at: output, fix: "choose an --output that ends in .safetensors")
        }
        let files: [(path: String, part: Part)] =
            isFile
            ? [(output, last)]
            : [(Files.join(output, RunFolder.File.model), model), (Files.join(output, RunFolder.File.ema), last)]
        if !isFile, Files.exists(RunFolder(output).checkpoints.path) {
            throw DataError("holds a run, which would hide the weights", at: output, fix: "choose another --output")
        }
        if !overwrite, let taken = files.first(where: { Files.exists($0.path) }) {
            throw DataError("exists already", at: taken.path, fix: "choose another --output, or replace it with --overwrite")
        }
        try Files.makeFolder(isFile ? Files.parent(of: output) : output)
        for (path, part) in files { try write(part, to: path) }
        guard !isFile, let configuration else { return files.map(\.path) }
        let configurationPath = RunFolder(output).configurationPath
        try AtomicFile.write(Array(configuration.json()), to: configurationPath)
        return files.map(\.path) + [configurationPath]
    }

    private func write(_ part: Part, to path: String) throws {
        let weights = part.weights
        var metadata = ["format": "pt", "driftgpu.kind": kind.rawValue, "driftgpu.source": Files.name(of: weights.source.path)]
        if let configuration {
            metadata[RunFolder.configurationKey] = String(decoding: try configuration.json(), as: UTF8.self)
        }
        let tensors = try part.comparison.matched.map { name, found in
            let header = try weights.header(found)
            return SafeTensorsPart(name: name, type: .f32, shape: header.shape, count: header.count) { file in
                try file.write(weights.floats(found))
            }
        }
        let file = try AtomicFile(path)
        try SafeTensors.write(tensors, metadata: metadata, to: file)
        try file.commit()
    }
}
