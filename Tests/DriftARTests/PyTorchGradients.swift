import DriftGPU
import Foundation
import Testing

@testable import DriftAR
@testable import DriftFormats

/// What PyTorch makes of a model in double precision: Tests/Fixtures/NAME/expected.safetensors, which make.py beside it writes, with
/// `parameter/NAME` and `gradient/NAME` for each parameter.
struct PyTorchGradients {
    let file: SafeTensorsFile

    init(_ name: String) throws {
        file = try SafeTensorsFile(
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("Fixtures/\(name)/expected.safetensors").path)
    }

    /// Writes the parameters to where the layout has them.
    func load(_ layout: ParameterLayout, into memory: DeviceMemory, buffer: String = "parameters") throws {
        var values = [Float](repeating: 0, count: layout.count)
        for entry in layout.entries {
            let part = try file.floats("parameter/" + entry.name, shape: entry.shape)
            values.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: part)
        }
        try memory.write(values, to: layout.storage(buffer))
    }

    /// Expects that values are the file's but for rounding.
    func compare(_ found: [Float], _ key: String, _ shape: [Int], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let want = try file.floats(key, shape: shape)
        let largest = want.reduce(1e-3) { max($0, abs($1)) }
        let worst = zip(found, want).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        #expect(
            found.count == want.count && worst < 2e-5 * largest, "\(key) \(shape): \(worst) of \(largest)", sourceLocation: sourceLocation)
    }

    /// The same of the gradients of all parameters.
    func compare(_ gradients: [Tensor?], of layout: ParameterLayout, _ executor: Executor, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for (entry, gradient) in zip(layout.entries, gradients) {
            let found = try executor.read(#require(gradient, "\(entry.name)"))
            try compare(found, "gradient/" + entry.name, entry.shape, sourceLocation: sourceLocation)
        }
    }
}
