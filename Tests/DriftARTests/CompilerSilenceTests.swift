import TestSupport
import Testing

/// A compiler that prints would spoil the output of every command. PoCL takes its target from the library that
/// POCL_KERNELLIB_NAME names, so this CPU stands for lesser ones; other drivers do not know the name.
@Suite struct CompilerSilenceTests {
    @Test(
        "kernels compile without a word on CPUs of every kind, at every vector width",
        arguments: [("sse2", 4), ("avx2", 8), ("avx2", 16), ("sse2", 16), ("avx512", 16), ("avx512", 4)])
    func isSilent(_ target: String, _ lanes: Int) throws {
        let folder = try TestFolder()
        // What kernels.cl holds is compiled whole, whichever case is run; each target needs a kernel cache of its own.
        let (code, output, errors) = try folder.run(
            "selftest --device cpu --filter operation/add/add",
            environment: [
                "POCL_KERNELLIB_NAME": target, "POCL_CACHE_DIR": folder.path, "DRIFTGPU_LANES": "\(lanes)",
                "DRIFTGPU_TEAM": "cpu",
            ])
        #expect(code == 0 && output.contains("passed") && errors.isEmpty, "\(output) \(errors)")
    }
}
