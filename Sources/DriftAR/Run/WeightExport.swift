import DriftFormats

/// Writing a trained model's weights for other programs.
public enum WeightExport {
    /// Element types weights can be rounded to.
    public enum ElementType: String, Sendable, CaseIterable { case f32, f16, bf16 }

    /// Writes every parameter under the name and in the shape of the reference's state_dict, rounded to nearest, with the
    /// configuration in the metadata beside `metadata`. Gives the names that the reference does not have. Throws where something stands at
    /// `path` already, unless `overwrite`, and for a value that a half cannot hold.
    @discardableResult
    public static func write(
        _ saved: SavedModel, as type: ElementType = .f32, metadata: [String: String] = [:], to path: String, overwrite: Bool = false
    ) throws -> [String] {
        guard path.hasSuffix(".safetensors") else {
            throw DataError("weights are written as safetensors", at: path, fix: "choose an --output that ends in .safetensors")
        }
        if !overwrite, Files.exists(path) {
            throw DataError("exists already", at: path, fix: "choose another --output, or replace it with --overwrite")
        }
        let model = try saved.configuration.makeGenerator()
        let source = saved.file
        let parts = try model.declarations.map { declaration in
            let header = try source.header(declaration.name)
            return SafeTensorsPart(name: declaration.name, type: type.stored, shape: declaration.shape, count: header.count) { file in
                let values = try source.floats(declaration.name, shape: declaration.shape)
                switch type {
                case .f32: try file.write(values)
                case .bf16: try file.write(values.map(HalfPrecision.bfloat16))
                case .f16:
                    let halves = values.map(HalfPrecision.half)
                    guard zip(values, halves).allSatisfy({ !$0.isFinite || $1 & 0x7C00 != 0x7C00 }) else {
                        throw DataError("tensor '\(declaration.name)' has values beyond 65504, the largest half", at: source.path,
                                        fix: "take --dtype bf16 or f32")
                    }
                    try file.write(halves)
                }
            }
        }
        try Files.makeFolder(Files.parent(of: path))
        let file = try AtomicFile(path)
        let own = try [
            "format": "pt", RunFolder.configurationKey: String(decoding: saved.configuration.json(), as: UTF8.self),
        ]
        try SafeTensors.write(parts, metadata: own.merging(metadata) { $1 }, to: file)
        try file.commit()
        return model.declarations.map(\.name).filter { $0.hasPrefix("feature_encoder.proj.") }
    }
}

extension WeightExport.ElementType {
    var stored: SafeTensorsFile.ElementType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        }
    }
}
