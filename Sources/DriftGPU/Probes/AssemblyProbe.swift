/// Which instructions and features the device's compiler takes that OpenCL C does not have.
///
/// Compiled only. That a compiler takes an instruction does not say that it numbers its lanes as expected; see `TensorCores`.
public struct AssemblyProbe: Codable, Sendable {
    public struct Entry: Codable, Sendable {
        public let name: String
        public let isAccepted: Bool
        /// The compiler's first complaint, where it is not.
        public let message: String?
    }

    /// Empty on devices that are no GPU: their compilers would only print complaints.
    public let entries: [Entry]

    /// Compiles each on `device`.
    public init(_ device: Device) {
        guard device.about.kind == .gpu else {
            entries = []
            return
        }
        entries = Self.cases.map { entry in
            do {
                _ = try ProbeProgram(entry.name, source: entry.source, options: entry.options, on: device)
                return Entry(name: entry.name, isAccepted: true, message: nil)
            } catch {
                return Entry(name: entry.name, isAccepted: false, message: Self.complaint("\(error)"))
            }
        }
    }

    /// The first line of a build's failure that speaks of an error, else the first line.
    static func complaint(_ text: String) -> String {
        let lines = text.split(whereSeparator: \.isNewline).map { $0.drop { $0 == " " } }
        let line = lines.first { $0.contains("error") || $0.contains("rror:") } ?? lines.first ?? ""
        return String(line.prefix(200))
    }

    struct Case {
        let name: String
        var options = "-cl-std=CL1.2"
        let source: String

        init(_ name: String, options: String = "-cl-std=CL1.2", source: String) {
            (self.name, self.options, self.source) = (name, options, source)
        }

        /// A kernel of instructions: `a` is a word, `p` the 32-bit address of 1 KiB of local memory, `x` global memory.
        init(_ name: String, asm: String) {
            self.init(
                name,
                source: """
                    __kernel void probe(__global uint *x) {
                      __local uint tile[256];
                      tile[get_local_id(0)] = 0;
                      barrier(CLK_LOCAL_MEM_FENCE);
                      const uint p = (uint)(size_t)tile;
                      uint a = x[get_local_id(0)], b = a, c = a, d = a;
                      float f = 0.0f, g = 0.0f, h = 0.0f, i = 0.0f;
                      \(asm)
                      x[get_local_id(0)] = a + b + c + d + as_uint(f) + as_uint(g) + as_uint(h) + as_uint(i) + tile[0] + p;
                    }
                    """)
        }
    }

    /// From what is used now to what only Hopper has.
    static let cases: [Case] = [
        Case("laneid", asm: #"asm volatile("mov.u32 %0, %%laneid;" : "=r"(a));"#),
        Case("shfl.sync", asm: #"asm volatile("shfl.sync.bfly.b32 %0, %0, 1, 31, 0xffffffff;" : "+r"(a));"#),
        Case(
            "mma.sync bf16",
            asm: #"asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%4,%5}, {%0,%1,%2,%3};" : "+f"(f), "+f"(g), "+f"(h), "+f"(i) : "r"(a), "r"(b), "r"(c), "r"(d));"#),
        Case(
            "mma.sync tf32",
            asm: #"asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%4,%5}, {%0,%1,%2,%3};" : "+f"(f), "+f"(g), "+f"(h), "+f"(i) : "r"(a), "r"(b), "r"(c), "r"(d));"#),
        Case(
            "ldmatrix, 32-bit address",
            asm: #"asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(p));"#),
        Case(
            "cp.async, 32-bit address",
            asm: #"asm volatile("cp.async.cg.shared.global [%0], [%1], 16; cp.async.wait_all;" : : "r"(p), "l"(x) : "memory");"#),
        Case("cvt to fp8", asm: #"ushort e; asm volatile("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(e) : "f"(f), "f"(g)); a = e;"#),
        Case("mbarrier", asm: #"asm volatile("mbarrier.init.shared.b64 [%0], 1;" : : "r"(p) : "memory");"#),
        Case(
            "cp.async.bulk (sm_90)",
            asm: #"asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 16, [%2];" : : "r"(p), "l"(x), "r"(p + 64) : "memory");"#),
        Case("fence.proxy.async (sm_90)", asm: #"asm volatile("fence.proxy.async;" : : : "memory");"#),
        Case("griddepcontrol (sm_90)", asm: #"asm volatile("griddepcontrol.wait;" : : : "memory");"#),
        Case("wgmma.fence (sm_90a)", asm: #"asm volatile("wgmma.fence.sync.aligned;" : : : "memory");"#),
        Case("setmaxnreg (sm_90a)", asm: #"asm volatile("setmaxnreg.dec.sync.aligned.u32 40;" : : : "memory");"#),
        Case(
            "half arithmetic without cl_khr_fp16",
            source: "__kernel void probe(__global half *x) { half a = x[0]; half b = x[1]; x[2] = a * b + a; }"),
        Case("OpenCL C 3.0", options: "-cl-std=CL3.0", source: "__kernel void probe(__global uint *x) { x[0] = 1; }"),
        Case(
            "64 KiB of local memory",
            source: """
                __kernel void probe(__global uint *x) {
                  __local uint tile[16384];
                  for (uint i = get_local_id(0); i < 16384; i += get_local_size(0)) tile[i] = x[i];
                  barrier(CLK_LOCAL_MEM_FENCE);
                  x[get_global_id(0)] = tile[x[get_local_id(0)] & 16383];
                }
                """),
    ]
}
