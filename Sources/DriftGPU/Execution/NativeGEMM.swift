/// Stand-in until the kernels land.
struct NativeGEMM: GEMMProvider {
    var name: String { "native" }
    func scratchCount(_ gemm: GEMM, traits: DeviceTraits) -> Int { 0 }
    func commands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command] { [] }
}
