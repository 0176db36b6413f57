/// Stand-in until the calls land.
struct CLBlastGEMM: GEMMProvider {
    var name: String { "clblast" }
    func scratchCount(_ gemm: GEMM, traits: DeviceTraits) -> Int { 0 }
    func commands(_ gemm: GEMM, scratch: Argument, traits: DeviceTraits) -> [Command] { [.library(gemm)] }
}
