import TestSupport
import Testing

@testable import DriftGPU

@Suite struct SortOrdersTests {
    @Test func shapesMustAgree() throws {
        let graph = Graph()
        let (orders, keys) = (try graph.input("orders", [6, 5], .int32), try graph.input("keys", [3, 5]))
        #expect(throws: GraphError.self) { try graph.sortOrders(keys, count: 2, by: keys) }
        #expect(throws: GraphError.self) { try graph.sortOrders(orders, count: 2, by: orders) }
        #expect(throws: GraphError.self) { try graph.sortOrders(orders, count: 0, by: keys) }
        #expect(throws: GraphError.self) { try graph.sortOrders(orders, count: 6, by: keys) }
        #expect(throws: GraphError.self) { try graph.sortOrders(orders, count: 2, by: keys, period: 4) }
        #expect(throws: GraphError.self) { try graph.sortOrders(orders, count: 2, by: graph.input("narrow", [6, 4])) }
        #expect(try graph.sortOrders(orders, count: 5, by: keys, period: 2).type == orders.type)
    }

    /// A number that stands in an order and names no position reads no memory outside of the keys.
    @Test(arguments: TestDevice.shapes) func numbersOutOfRangeReadNothingElse(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let graph = Graph()
            let (orders, keys) = (try graph.input("orders", [1, 4], .int32), try graph.input("keys", [1, 4]))
            let sorted = try graph.sortOrders(orders, count: 4, by: keys)
            graph.output(sorted)
            let executor = try DeviceMemory(device).executor(graph)
            try executor.write([.max, 1, .min, 2] as [Int32], to: orders)
            try executor.write([4, 1, 2, 3] as [Float], to: keys)
            try executor.run()
            #expect(try executor.read(sorted, as: Int32.self) == [.min, .max, 2, 1])
        }
    }
}
