import DriftGPU

/// InceptionV3 as the weights of the FID have it (pytorch-fid's pt_inception-2015-12-05): torchvision's network, but mean pools
/// leave out the padding, and the last block takes the largest value where torchvision takes the mean.
///
/// Widths come from the weights. Inside, images are pixels of channels [B, H, W, C].
struct InceptionNetwork {
    /// Side of the images it takes.
    static let side = 299

    private let graph: Graph
    private let scope: ParameterScope

    init(_ scope: ParameterScope) {
        graph = scope.graph
        self.scope = scope
    }

    /// Every convolution, by its name among the weights.
    static let convolutions: [String] = {
        let a = ["branch1x1", "branch5x5_1", "branch5x5_2", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3", "branch_pool"]
        let b = ["branch3x3", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]
        let c = ["branch1x1", "branch_pool"] + (1...3).map { "branch7x7_\($0)" } + (1...5).map { "branch7x7dbl_\($0)" }
        let d = ["branch3x3_1", "branch3x3_2"] + (1...4).map { "branch7x7x3_\($0)" }
        let e = [
            "branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a",
            "branch3x3dbl_3b", "branch_pool",
        ]
        let blocks = [
            ("Mixed_5b", a), ("Mixed_5c", a), ("Mixed_5d", a), ("Mixed_6a", b), ("Mixed_6b", c), ("Mixed_6c", c),
            ("Mixed_6d", c), ("Mixed_6e", c), ("Mixed_7a", d), ("Mixed_7b", e), ("Mixed_7c", e),
        ]
        let stem = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
        return stem + blocks.flatMap { block, branches in branches.map { block + "." + $0 } }
    }()

    /// Images [B, 299, 299, 3] in [-1, 1] -> features [B, D], the mean over the last positions, and logits [B, classes] without
    /// the last layer's bias, of which the Inception Score is taken.
    func callAsFunction(_ images: Tensor) throws -> (features: Tensor, logits: Tensor) {
        var x = try convolution(images, "Conv2d_1a_3x3", stride: 2, isPadded: false)
        x = try convolution(x, "Conv2d_2a_3x3", isPadded: false)
        x = try convolution(x, "Conv2d_2b_3x3")
        x = try graph.maxPool(x, window: 3, stride: 2)
        x = try convolution(x, "Conv2d_3b_1x1")
        x = try convolution(x, "Conv2d_4a_3x3", isPadded: false)
        x = try graph.maxPool(x, window: 3, stride: 2)
        for block in ["Mixed_5b", "Mixed_5c", "Mixed_5d"] { x = try blockA(x, block + ".") }
        x = try blockB(x, "Mixed_6a.")
        for block in ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"] { x = try blockC(x, block + ".") }
        x = try blockD(x, "Mixed_7a.")
        x = try blockE(x, "Mixed_7b.", pool: graph.meanPool(x, window: 3, stride: 1, padding: 1))
        x = try blockE(x, "Mixed_7c.", pool: graph.maxPool(x, window: 3, stride: 1, padding: 1))
        let features = try graph.reshape(
            graph.meanPool(x, window: x.shape[1], stride: 1), [images.shape[0], x.shape[3]])
        return (features, try graph.linear(features, weight: scope.parameter("fc.weight")))
    }

    /// Convolution with its norm folded in, and ReLU. Padded: the image keeps its size at stride 1.
    private func convolution(_ x: Tensor, _ name: String, stride: Int = 1, isPadded: Bool = true) throws -> Tensor {
        let weight = try scope.parameter(name + ".weight")
        let (down, across) = isPadded ? (weight.shape[2] / 2, weight.shape[3] / 2) : (0, 0)
        return try graph.relu(
            graph.convolution(
                x, weight: weight, bias: scope.parameter(name + ".bias"), stride: stride,
                padding: Padding(top: down, left: across, bottom: down, right: across)))
    }

    /// Convolutions of those names one after the other.
    private func chain(_ x: Tensor, _ block: String, _ names: String...) throws -> Tensor {
        try names.reduce(x) { try convolution($0, block + $1) }
    }

    /// The last of a chain that halves the image.
    private func halved(_ x: Tensor, _ name: String) throws -> Tensor {
        try convolution(x, name, stride: 2, isPadded: false)
    }

    private func blockA(_ x: Tensor, _ block: String) throws -> Tensor {
        try graph.concat(
            [
                chain(x, block, "branch1x1"), chain(x, block, "branch5x5_1", "branch5x5_2"),
                chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
                chain(graph.meanPool(x, window: 3, stride: 1, padding: 1), block, "branch_pool"),
            ], axis: 3)
    }

    private func blockB(_ x: Tensor, _ block: String) throws -> Tensor {
        try graph.concat(
            [
                halved(x, block + "branch3x3"),
                halved(chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2"), block + "branch3x3dbl_3"),
                graph.maxPool(x, window: 3, stride: 2),
            ], axis: 3)
    }

    private func blockC(_ x: Tensor, _ block: String) throws -> Tensor {
        try graph.concat(
            [
                chain(x, block, "branch1x1"), chain(x, block, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
                chain(x, block, "branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
                chain(graph.meanPool(x, window: 3, stride: 1, padding: 1), block, "branch_pool"),
            ], axis: 3)
    }

    private func blockD(_ x: Tensor, _ block: String) throws -> Tensor {
        try graph.concat(
            [
                halved(chain(x, block, "branch3x3_1"), block + "branch3x3_2"),
                halved(chain(x, block, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3"), block + "branch7x7x3_4"),
                graph.maxPool(x, window: 3, stride: 2),
            ], axis: 3)
    }

    private func blockE(_ x: Tensor, _ block: String, pool: Tensor) throws -> Tensor {
        let single = try chain(x, block, "branch3x3_1")
        let double = try chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2")
        return try graph.concat(
            [
                chain(x, block, "branch1x1"), chain(single, block, "branch3x3_2a"), chain(single, block, "branch3x3_2b"),
                chain(double, block, "branch3x3dbl_3a"), chain(double, block, "branch3x3dbl_3b"),
                chain(pool, block, "branch_pool"),
            ], axis: 3)
    }
}
