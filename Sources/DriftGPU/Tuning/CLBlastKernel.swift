import CCLBlast
import COpenCL

/// A kernel of CLBlast whose parameters can be overridden, with the values that are searched and the rules they obey.
///
/// A product of m n k below XGEMM_MIN_INDIRECT_SIZE^3 is one launch of XgemmDirect; larger ones are copied to padded
/// matrices, which Xgemm multiplies.
public enum CLBlastKernel: String, Sendable, CaseIterable {
    case direct = "XgemmDirect"
    case indirect = "Xgemm"
    case selection = "GemmRoutine"

    /// Every parameter with the values that the search tries.
    var values: [(name: String, values: [Int])] {
        switch self {
        case .direct:
            [
                ("WGD", [8, 16, 32, 64]), ("MDIMCD", [8, 16, 32]), ("NDIMCD", [8, 16, 32]), ("MDIMAD", [8, 16, 32]),
                ("NDIMBD", [8, 16, 32]), ("KWID", [2, 8, 16]), ("VWMD", [1, 2, 4, 8]), ("VWND", [1, 2, 4, 8]),
                ("PADA", [0, 1]), ("PADB", [0, 1]),
            ]
        case .indirect:
            [
                ("GEMMK", [0]), ("KREG", [1]), ("MWG", [16, 32, 64, 128]), ("NWG", [16, 32, 64, 128]), ("KWG", [16, 32]),
                ("MDIMC", [8, 16, 32]), ("NDIMC", [8, 16, 32]), ("MDIMA", [8, 16, 32]), ("NDIMB", [8, 16, 32]),
                ("KWI", [2, 8]), ("VWM", [1, 2, 4, 8]), ("VWN", [1, 2, 4, 8]), ("STRM", [0, 1]), ("STRN", [0, 1]),
                ("SA", [0, 1]), ("SB", [0, 1]),
            ]
        case .selection: [("XGEMM_MIN_INDIRECT_SIZE", [])]
        }
    }

    /// Whether the parameters are complete and the kernel works with them: tiles are whole numbers of what the items of a
    /// work-group load and compute, and the tiles fit the device. CLBlast itself checks nothing.
    public func accepts(_ parameters: [String: Int], workGroup: Int, localMemory: Int) -> Bool {
        guard Set(parameters.keys) == Set(values.map(\.name)), parameters.values.allSatisfy({ (0...1 << 20).contains($0) }) else {
            return false
        }
        let p = { (name: String) in parameters[name] ?? 0 }
        func isMultiple(_ value: Int, _ divisor: Int) -> Bool { divisor > 0 && value > 0 && value % divisor == 0 }
        switch self {
        case .selection: return true
        case .direct:
            let (wgd, items) = (p("WGD"), p("MDIMCD") * p("NDIMCD"))
            guard p("MDIMAD") > 0, p("NDIMBD") > 0, wgd <= 128, items <= workGroup, p("PADA") < 2, p("PADB") < 2 else { return false }
            return isMultiple(wgd, p("KWID")) && isMultiple(wgd, p("MDIMCD") * p("VWMD"))
                && isMultiple(wgd, p("NDIMCD") * p("VWND")) && isMultiple(wgd, p("MDIMAD") * p("VWMD"))
                && isMultiple(wgd, p("NDIMBD") * p("VWND")) && isMultiple(items, p("MDIMAD")) && isMultiple(items, p("NDIMBD"))
                && isMultiple(wgd, items / p("MDIMAD")) && isMultiple(wgd, items / p("NDIMBD"))
                && 4 * wgd * (2 * wgd + p("PADA") + p("PADB")) <= localMemory
        case .indirect:
            let items = p("MDIMC") * p("NDIMC")
            guard p("GEMMK") == 0, p("KREG") == 1, p("MDIMA") > 0, p("NDIMB") > 0, items > 0, items <= workGroup, p("MWG") <= 256,
                p("NWG") <= 256, p("KWG") <= 64, ["STRM", "STRN", "SA", "SB"].allSatisfy({ p($0) < 2 })
            else { return false }
            // More sums than registers hold would only spill.
            guard p("MWG") * p("NWG") / items <= 128 else { return false }
            return isMultiple(p("KWG"), p("KWI")) && isMultiple(p("MWG"), p("MDIMC") * p("VWM"))
                && isMultiple(p("NWG"), p("NDIMC") * p("VWN")) && isMultiple(p("MWG"), p("MDIMA") * p("VWM"))
                && isMultiple(p("NWG"), p("NDIMB") * p("VWN")) && isMultiple(items, p("MDIMA")) && isMultiple(items, p("NDIMB"))
                && isMultiple(p("KWG"), items / p("MDIMA")) && isMultiple(p("KWG"), items / p("NDIMB"))
                && 4 * p("KWG") * (p("SA") * p("MWG") + p("SB") * p("NWG")) <= localMemory
        }
    }

    func accepts(_ parameters: [String: Int], on device: DeviceDescription) -> Bool {
        accepts(parameters, workGroup: device.maxWorkGroupSize, localMemory: device.localMemory)
    }

    /// Replaces CLBlast's parameters of this kernel for single precision on the device, for the whole process. Throws when
    /// CLBlast does not know them.
    func override(_ parameters: [String: Int], on device: DeviceDescription) throws {
        let sorted = parameters.sorted { $0.key < $1.key }
        let names = sorted.map { $0.key.utf8CString.map { $0 } }
        let values = sorted.map { max(0, $0.value) }
        let status = Self.withPointers(names[...], []) { pointers in
            var pointers = pointers
            return CLBlastOverrideParameters(device.id, rawValue, CLBlastPrecisionSingle, values.count, &pointers, values)
        }
        try OpenCLError.check(Int32(status.rawValue), "CLBlast's parameters of \(rawValue)")
        // CLBlast forgets the programs of its plain GEMM by itself, not those of the batched one.
        try OpenCLError.check(Int32(CLBlastClearCache().rawValue), "CLBlast's program cache")
    }

    private static func withPointers<Result>(
        _ names: ArraySlice<[CChar]>, _ pointers: [UnsafePointer<CChar>?], _ body: ([UnsafePointer<CChar>?]) -> Result
    ) -> Result {
        guard let name = names.first else { return body(pointers) }
        return name.withUnsafeBufferPointer { withPointers(names.dropFirst(), pointers + [$0.baseAddress], body) }
    }
}
