import Testing

@testable import DriftGPU

@Suite struct CompilerLogTests {
    /// As drivers print it: 418 with a mark before the second line of a kernel, newer ones with the use of barriers.
    @Test func registersAndSpills() {
        let log = """
            ptxas info    : 0 bytes gmem, 946 bytes cmem[3]
            ptxas info    : Compiling entry function 'first' for 'sm_35'
            ptxas info    : Function properties for first
            ptxas         .     992 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads
            ptxas info    : Used 40 registers, 344 bytes cmem[0], 12 bytes cmem[2]
            ptxas info    : Compiling entry function 'second' for 'sm_90'
            ptxas info    : Function properties for second
                0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Used 255 registers, used 1 barriers, 32768 bytes smem, 376 bytes cmem[0]
            ptxas info    : Compile time = 3.1 ms
            """
        let found = KernelResources.all(in: log)
        #expect(found.map(\.kernel) == ["first", "second"])
        #expect(found.map(\.registers) == [40, 255] && found.map(\.stack) == [992, 0])
        #expect(found.map(\.spillStores) == [8, 0] && found.map(\.spillLoads) == [16, 0])
        #expect(found.map(\.shared) == [nil, 32768] && found.map(\.isSpilling) == [true, false])
    }

    @Test(arguments: ["", "warning: Linking two modules", "Compiling entry function 'open", "99 registers", "Used registers, bytes smem"])
    func otherWords(_ log: String) {
        #expect(KernelResources.all(in: log).allSatisfy { $0.registers == nil && !$0.isSpilling })
    }
}
