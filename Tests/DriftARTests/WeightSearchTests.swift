import TestSupport
import Testing

@testable import DriftAR
@testable import DriftFormats

/// Where in a file the weights of a model lie.
@Suite struct WeightSearchTests {
    let folder: TestFolder

    init() throws { folder = try TestFolder() }

    /// The tensors of `drift_ar.pth`: the weights and their average.
    private func tensors() throws -> (model: [String: NamedTensor], ema: [String: NamedTensor]) {
        let all = try PyTorchFixtures.expected("drift_ar.pth")
        func below(_ prefix: String) -> [String: NamedTensor] {
            Dictionary(uniqueKeysWithValues: all.compactMap { $0.key.hasPrefix(prefix) ? (String($0.key.dropFirst(prefix.count)), $0.value) : nil })
        }
        return (below("model/module._orig_mod."), below("model_ema/"))
    }

    private func prefixed(_ prefix: String, _ tensors: [String: NamedTensor]) -> [String: NamedTensor] {
        Dictionary(uniqueKeysWithValues: tensors.map { (prefix + $0.key, $0.value) })
    }

    private func open(_ parts: [String: NamedTensor]...) throws -> any TensorSource {
        let path = folder.file("made.safetensors")
        try SafeTensors.write(parts.reduce(into: [:]) { $0.merge($1) { $1 } }, to: path)
        return try WeightFile.open(path)
    }

    private let options = ImportOptions(heads: 2, patch: 2)

    /// What an import writes as model and ema.
    private func written(_ weights: WeightImport) throws -> (model: [String: NamedTensor], ema: [String: NamedTensor]) {
        let files = try weights.write(to: folder.file("out"), overwrite: true)
        return (try SafeTensors.read(files[0]).tensors, try SafeTensors.read(files[1]).tensors)
    }

    @Test("a common prefix is taken off, wherever it comes from", arguments: [
        "state_dict/model.", "model.", "state_dict/module.net._orig_mod.", "module/", "generator/weights.module.",
    ])
    func prefixes(_ prefix: String) throws {
        let model = try tensors().model
        let weights = try WeightImport(open(prefixed(prefix, model), ["state_dict/metric.count": NamedTensor(shape: [1], floats: [0])]), options: options)
        #expect(weights.isExact && weights.kind == .driftAR)
        #expect(try written(weights).model == model)
    }

    @Test("weights and their average side by side in one dictionary")
    func average() throws {
        let (model, ema) = try tensors()
        let both = try open(
            prefixed("state_dict/model.", model), prefixed("state_dict/ema_model.", ema), ["state_dict/loss.w": NamedTensor(shape: [1], floats: [0])])
        let weights = try WeightImport(both, options: options)
        #expect(weights.report.contains("drift-ar model (state_dict/model.): 108 tensors fit, 109 of other parts left out"))
        #expect(weights.report.contains("drift-ar ema (state_dict/ema_model.): 108 tensors fit, 109 of other parts left out"))
        let files = try written(weights)
        #expect(files.model == model && files.ema == ema)

        // Either can be named, by prefix or by the key that ends in it.
        #expect(try written(WeightImport(both, prefix: "ema_model", options: options)).model == ema)
        #expect(try written(WeightImport(both, key: "state_dict", prefix: "ema_model.", options: options)).model == ema)
        #expect(try written(WeightImport(both, key: "state_dict/ema_model", options: options)).model == ema)
        #expect(errorText { _ = try WeightImport(both, prefix: "net", options: options) }?.contains("begins with 'net.'; they begin with ema_model, loss, model") == true)
        #expect(errorText { _ = try WeightImport(both, key: "state_dict/net", options: options) }?.contains("no tensors at the key 'state_dict/net'") == true)

        // Their own key and an average elsewhere.
        let apart = try open(prefixed("model/net.", model), prefixed("model_ema/module.", ema))
        let found = try written(WeightImport(apart, options: options))
        #expect(found.model == model && found.ema == ema)
        #expect(try written(WeightImport(apart, prefix: "net", options: options)).ema == ema)
    }

    @Test("two models are not guessed between")
    func ambiguous() throws {
        let (model, ema) = try tensors()
        let two = try open(prefixed("teacher.", model), prefixed("student.", ema))
        let text = errorText { _ = try WeightImport(two, options: options) }
        #expect(text?.contains("weights of 2 models, below student., teacher.; choose one with --prefix") == true, "\(text ?? "")")
        #expect(try written(WeightImport(two, prefix: "student", options: options)).model == ema)
    }

    @Test("a tensor that is needed but of a type that is not read is named")
    func unread() throws {
        var (model, _) = try tensors()
        model["z_proj.bias"] = nil
        let file = try SafeTensorsFile(folder.file("made.safetensors", holding: model, foreign: "model.z_proj.bias", shape: [4]))
        let weights = try WeightImport(file, options: options)
        #expect(weights.report.contains("  unread     z_proj.bias: the element type F4"), "\(weights.report)")
        #expect(errorText { try weights.check(allowMissing: false) }?.contains("1 unread tensors") == true)
    }
}

extension TestFolder {
    /// A file of those tensors below `model.` and of one whose type nobody knows; gives its path.
    fileprivate func file(_ name: String, holding tensors: [String: NamedTensor], foreign: String, shape: [Int]) throws -> String {
        var (members, data) = ([JSON.Member](), [UInt8]())
        func add(_ name: String, _ type: String, _ shape: [Int], _ bytes: [UInt8]) {
            members.append(JSON.Member(name, .object([
                JSON.Member("dtype", .string(type)), JSON.Member("shape", .array(shape.map { .integer($0) })),
                JSON.Member("data_offsets", .array([.integer(data.count), .integer(data.count + bytes.count)])),
            ])))
            data += bytes
        }
        for (name, tensor) in tensors { add("model." + name, "F32", tensor.shape, tensor.floats?.withUnsafeBytes(Array.init) ?? []) }
        add(foreign, "F4", shape, [0, 0])
        let header = Array(JSON.object(members).text.utf8)
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        return try write(length + header + data, to: name)
    }
}
