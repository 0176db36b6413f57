/// How a product's epilogue is told to the kernels of gemm.cl and gemm_epilogue.cl.
extension GEMM {
    /// -D switches of the epilogue and of `accumulate`.
    var epilogueDefines: [String: String] { epilogueDefines(accumulates: accumulate) }

    private func epilogueDefines(accumulates: Bool) -> [String: String] {
        let switches = [
            ("ACCUMULATE", accumulates), ("BIAS", epilogue.bias != nil), ("INTERMEDIATE", epilogue.intermediate != nil),
            ("GELU", isActivation(.gelu, derivative: false)), ("GELU_DERIVATIVE", isActivation(.gelu, derivative: true)),
            ("SILU", isActivation(.silu, derivative: false)), ("SILU_DERIVATIVE", isActivation(.silu, derivative: true)),
            ("RESIDUAL", epilogue.residual != nil), ("GATE", epilogue.gate != nil),
        ]
        return Dictionary(uniqueKeysWithValues: switches.filter(\.1).map { ($0.0, "1") })
    }

    private func isActivation(_ function: Activation, derivative: Bool) -> Bool {
        epilogue.activation == function && (epilogue.derivativeOf != nil) == derivative
    }

    /// The arguments that the switches add, in the kernels' order.
    var epilogueArguments: [Argument] {
        var arguments = [epilogue.bias, epilogue.intermediate, epilogue.derivativeOf, epilogue.residual].compactMap { $0 }
        if let gate = epilogue.gate {
            arguments += [gate, .int(epilogue.gateStride), .int(epilogue.gateSpan), .int(epilogue.gateInner)]
        }
        return arguments
    }

    /// The epilogue as a launch of its own: adds up `parts` products in `source`, scales by `alpha`, finishes, writes C.
    /// With one part, `source` has a layout like C's and may be C itself.
    func epilogueLaunch(
        of source: GEMMOperand, parts: Int, alpha: Float, accumulates: Bool, traits: DeviceTraits
    ) -> Command {
        let rows = batch * m
        let operands = epilogueArguments.filter { if case .int = $0 { false } else { true } }.count + (accumulates ? 1 : 0)
        return LaunchContext(inputs: [], outputs: [], traits: traits, gemm: NativeGEMM()).rowLaunch(
            "gemm_epilogue_forward", family: "gemm_epilogue", defines: epilogueDefines(accumulates: accumulates), rows: rows,
            arguments: [
                source.argument, c.argument, .int(batch), .int(m), .int(n), .int(parts), .int(source.batchStride),
                .int(source.leadingDimension), .int(c.leadingDimension), .int(c.batchStride), .float(alpha),
            ] + epilogueArguments,
            traffic: Traffic(bytes: 4 * rows * n * (parts + 1 + operands), flops: rows * n * parts))
    }
}

extension Argument {
    /// A tensor argument so many elements further on.
    func advanced(by elements: Int) -> Argument {
        switch self {
        case .input(let index, let offset): .input(index, offset: offset + elements)
        case .output(let index, let offset): .output(index, offset: offset + elements)
        case .scratch(let index, let offset): .scratch(index, offset: offset + elements)
        case .int, .float, .local: self
        }
    }
}
