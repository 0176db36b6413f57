/// Features beyond OpenCL C 1.2, found out by compiling a kernel that uses them where the device may have them at all.
public enum DeviceProbe: String, CaseIterable, Sendable {
    case half, subgroups, ptx

    /// True when the device's compiler takes the feature.
    public func isSupported(by device: Device) -> Bool {
        // Some compilers print their complaints instead of only logging them, so hopeless programs are not tried.
        mayHave(device.about) && device.probe(source, options: options)
    }

    private func mayHave(_ device: DeviceDescription) -> Bool {
        switch self {
        case .half: device.extensions.contains("cl_khr_fp16")
        case .subgroups: device.extensions.contains("cl_khr_subgroups")
        case .ptx: device.kind == .gpu
        }
    }

    private var options: String { self == .subgroups ? "-cl-std=CL2.0" : "-cl-std=CL1.2" }

    private var source: String {
        switch self {
        case .half:
            """
            #pragma OPENCL EXTENSION cl_khr_fp16 : enable
            __kernel void probe(__global half *x) { x[get_global_id(0)] *= (half)2; }
            """
        case .subgroups:
            """
            #pragma OPENCL EXTENSION cl_khr_subgroups : enable
            __kernel void probe(__global float *x) { x[get_global_id(0)] = sub_group_reduce_add(x[get_global_id(0)]); }
            """
        case .ptx:
            """
            __kernel void probe(__global uint *x) { uint lane; asm("mov.u32 %0, %%laneid;" : "=r"(lane)); x[0] = lane; }
            """
        }
    }
}
