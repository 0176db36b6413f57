import Dispatch
import DriftData
import DriftFormats
import DriftGPU
import DriftReport

/// The pool3 features of InceptionV3, in which the FID is taken, from the FID's weights.
public struct InceptionFeatures: FeatureSpace {
    public let name = "inception"
    public let knowsClasses = false
    private let layout: ParameterLayout
    private let parameters: [Float]
    private let device: Device
    private let batch: Int
    private let path: String

    /// Reads the weights from a safetensors file under pytorch-fid's names (`Conv2d_1a_3x3.conv.weight`, `fc.weight`, ...), and
    /// folds each norm into the convolution before it. `batch`: images at a time.
    public init(_ path: String, on device: Device, batch: Int = 16) throws {
        let file = try SafeTensorsFile(path)
        let names = InceptionNetwork.convolutions.map { $0 + ".conv.weight" } + ["fc.weight"]
        let missing = names.filter { file.headers[$0] == nil }
        guard missing.isEmpty else {
            let shown = missing.prefix(3).joined(separator: ", ") + (missing.count > 3 ? ", ..." : "")
            throw DataError(
                "\(missing.count) of \(names.count) weights are missing: \(shown)", at: path,
                fix: "convert pytorch-fid's pt_inception-2015-12-05 to safetensors")
        }
        var entries: [(name: String, shape: [Int])] = []
        for name in InceptionNetwork.convolutions {
            let shape = try file.header(name + ".conv.weight").shape
            guard shape.count == 4, shape.allSatisfy({ $0 > 0 }) else {
                throw DataError("tensor '\(name).conv.weight' has the shape \(shape)", at: path, fix: "give [out, in, height, width]")
            }
            entries += [(name + ".weight", shape), (name + ".bias", [shape[0]])]
        }
        let layout = try ParameterLayout(entries + [("fc.weight", file.header("fc.weight").shape)])
        var parameters = [Float](repeating: 0, count: layout.count)
        func put(_ values: [Float], _ name: String) {
            guard let entry = layout[name] else { return }
            parameters.replaceSubrange(entry.offset..<(entry.offset + entry.count), with: values)
        }
        for name in InceptionNetwork.convolutions {
            let (weight, bias) = try Self.folded(name, outputs: file.header(name + ".conv.weight").shape[0], file)
            put(weight, name + ".weight")
            put(bias, name + ".bias")
        }
        put(try file.floats("fc.weight"), "fc.weight")
        self.layout = layout
        self.parameters = parameters
        self.device = device
        self.batch = batch
        self.path = path
    }

    /// Epsilon of the norms.
    private static let epsilon = 1e-3

    /// A convolution whose outputs are already normalised: weight and bias.
    private static func folded(_ name: String, outputs: Int, _ file: SafeTensorsFile) throws -> (weight: [Float], bias: [Float]) {
        func norm(_ part: String) throws -> [Double] {
            try file.floats("\(name).bn.\(part)", shape: [outputs]).map(Double.init)
        }
        let (scale, shift, mean, variance) = (try norm("weight"), try norm("bias"), try norm("running_mean"), try norm("running_var"))
        let factors = zip(scale, variance).map { $0 / ($1 + epsilon).squareRoot() }
        let weight = try file.floats(name + ".conv.weight")
        let size = weight.count / outputs
        return (
            weight.indices.map { Float(Double(weight[$0]) * factors[$0 / size]) },
            (0..<outputs).map { Float(shift[$0] - mean[$0] * factors[$0]) }
        )
    }

    public func features(of images: Dataset) throws -> ImageFeatures {
        guard images.channels == 1 || images.channels == 3 else {
            throw DataError("images of \(images.channels) channels", at: "inception", fix: "give grey or colour pictures")
        }
        let memory = DeviceMemory(device)
        try memory.write(parameters, to: layout.storage("parameters"))
        let graph = Graph()
        let side = InceptionNetwork.side
        let input = try graph.input("images", [batch, side, side, 3])
        let features: Tensor
        let logits: Tensor
        do {
            (features, logits) = try InceptionNetwork(ParameterScope(graph, layout))(input)
        } catch let error as GraphError {
            throw DataError("weights that do not fit each other (\(error))", at: path, fix: "convert the file again")
        }
        graph.output(features)
        graph.output(logits)
        let executor = try memory.executor(graph)
        var result: (features: [Float], logits: [Float]) = ([], [])
        try images.forEachBatch(of: batch) { block, count in
            try executor.write(
                Self.resized(block, channels: images.channels, height: images.height, width: images.width, side: side), to: input)
            try executor.run()
            result.features += try executor.read(features).prefix(count * features.shape[1])
            result.logits += try executor.read(logits).prefix(count * logits.shape[1])
        }
        return ImageFeatures(try FeatureSet(result.features, width: features.shape[1]), logits: result.logits)
    }

    /// Images [B, C, H, W] as pixels [B, side, side, 3], interpolated linearly between the centres of the nearest pixels, as
    /// pytorch-fid does: when made smaller, pixels in between are passed over. Grey becomes red, green and blue.
    static func resized(_ images: [Float], channels: Int, height: Int, width: Int, side: Int) -> [Float] {
        /// Left neighbour, right neighbour and the right one's share for each new position.
        func taps(_ extent: Int) -> [(low: Int, high: Int, share: Float)] {
            (0..<side).map { i in
                let position = max((Float(i) + 0.5) * Float(extent) / Float(side) - 0.5, 0)
                let low = min(Int(position), extent - 1)
                return (low, min(low + 1, extent - 1), position - Float(low))
            }
        }
        let (rows, columns) = (taps(height), taps(width))
        let count = images.count / (channels * height * width)
        return [Float](unsafeUninitializedCapacity: count * side * side * 3) { buffer, filled in
            let result = SharedBuffer(buffer)
            DispatchQueue.concurrentPerform(iterations: count) { image in
                images.withUnsafeBufferPointer { source in
                    for colour in 0..<3 {
                        let plane = (image * channels + (channels == 1 ? 0 : colour)) * height * width
                        for (y, row) in rows.enumerated() {
                            let (upper, lower) = (plane + row.low * width, plane + row.high * width)
                            for (x, column) in columns.enumerated() {
                                let top = source[upper + column.low] * (1 - column.share) + source[upper + column.high] * column.share
                                let bottom = source[lower + column.low] * (1 - column.share) + source[lower + column.high] * column.share
                                result.buffer[((image * side + y) * side + x) * 3 + colour] = top * (1 - row.share) + bottom * row.share
                            }
                        }
                    }
                }
            }
            filled = count * side * side * 3
        }
    }
}
