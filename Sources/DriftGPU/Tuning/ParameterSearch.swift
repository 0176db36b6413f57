/// The order in which parameter sets of one of CLBlast's kernels are tried: first those that are the fastest on other GPUs, then
/// random ones and neighbours of the best in turn. Every set is legal on the device, and none comes twice.
struct ParameterSearch {
    private let kernel: CLBlastKernel
    private let accepts: ([String: Int]) -> Bool
    /// What is left of the others' winners, the next one last.
    private var seeds: [[String: Int]]
    private var seen: Set<[String: Int]> = []
    private var count = 0
    private var state: UInt64 = 0x0DD1_5EED

    init(_ kernel: CLBlastKernel, workGroup: Int, localMemory: Int) {
        self.kernel = kernel
        let accepts = { kernel.accepts($0, workGroup: workGroup, localMemory: localMemory) }
        self.accepts = accepts
        seeds = kernel.winners.filter(accepts).reversed()
    }

    /// The next set; nil where no other is found. `best` is the fastest so far.
    mutating func next(best: [String: Int]?) -> [String: Int]? {
        if let seed = seeds.popLast() {
            seen.insert(seed)
            return seed
        }
        count += 1
        let origin = count.isMultiple(of: 2) ? best : nil
        for _ in 0..<100_000 {
            let parameters = origin.map { neighbour(of: $0) } ?? anything()
            if accepts(parameters), seen.insert(parameters).inserted { return parameters }
        }
        return nil
    }

    private mutating func anything() -> [String: Int] {
        var parameters: [String: Int] = [:]
        for (name, values) in kernel.values { parameters[name] = values[random(values.count)] }
        return parameters
    }

    /// Differs in one value or two.
    private mutating func neighbour(of origin: [String: Int]) -> [String: Int] {
        var parameters = origin
        for _ in 0...random(2) {
            let (name, values) = kernel.values[random(kernel.values.count)]
            parameters[name] = values[random(values.count)]
        }
        return parameters
    }

    private mutating func random(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(max(1, bound)))
    }
}

extension CLBlastKernel {
    /// Sets that CLBlast's database and its users' tuning found to be the fastest on GPUs of the last years, single precision. An
    /// NVIDIA GPU that the database does not know gets a tile of 16 x 32, which is of no use to it.
    var winners: [[String: Int]] {
        func tile(
            _ m: Int, _ n: Int, _ mItems: Int, _ nLoaders: Int, _ nItems: Int, keepsA: Int, keepsB: Int, strides: Int
        ) -> [String: Int] {
            [
                "GEMMK": 0, "KREG": 1, "MWG": m, "NWG": n, "KWG": 32, "MDIMC": mItems, "NDIMC": nItems, "MDIMA": mItems,
                "NDIMB": nLoaders, "KWI": 2, "VWM": 4, "VWN": 4, "STRM": strides, "STRN": strides, "SA": keepsA, "SB": keepsB,
            ]
        }
        switch self {
        case .indirect:
            return [
                // RTX 5070 Laptop; RTX 4090; RTX 3090, A6000 and 5080; A100.
                tile(128, 128, 16, 32, 8, keepsA: 1, keepsB: 1, strides: 1),
                tile(128, 64, 32, 8, 8, keepsA: 0, keepsB: 1, strides: 1),
                tile(64, 64, 16, 8, 8, keepsA: 1, keepsB: 1, strides: 0),
                tile(32, 64, 8, 16, 16, keepsA: 1, keepsB: 1, strides: 0),
            ]
        case .direct:
            // NVIDIA's of older architectures: there is none for newer ones.
            return [(8, 4), (16, 2)].map { items, width in
                [
                    "WGD": 32, "MDIMCD": 8, "NDIMCD": items, "MDIMAD": 8, "NDIMBD": items, "KWID": 2, "VWMD": 4, "VWND": width,
                    "PADA": 1, "PADB": 1,
                ]
            }
        case .selection: return []
        }
    }
}
