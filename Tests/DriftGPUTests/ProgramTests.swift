import TestSupport
import Testing

@testable import DriftGPU

@Suite struct ProgramTests {
    /// Rounds of steps: each step adds row `step` of a table to a sum, each round counts itself and has the steps begin again.
    private struct Loop {
        static let width = 9
        let memory: DeviceMemory
        let step: Executor
        let round: Executor
        let sum: Tensor
        let rounds: Counter

        init(_ device: Device, table: [Float]) throws {
            memory = DeviceMemory(device, guardBytes: 256)
            let (stepping, ending) = (Graph(), Graph())
            let counter = try Counter(stepping, name: "step")
            let rows = try stepping.input("table", [table.count / Self.width, Self.width])
            sum = try stepping.input("sum", [Self.width])
            let row = try stepping.selectRow(rows, counter)
            try stepping.accumulate(row, into: sum, restart: stepping.constant("go on", [Float(0)], [1]))
            try stepping.advance(counter)
            rounds = try Counter(ending, name: "round")
            try ending.reset(Counter(ending, name: "step"))
            try ending.advance(rounds)
            (step, round) = (try memory.executor(stepping), try memory.executor(ending))
            try step.write(table, to: rows)
        }
    }

    private func table(_ rows: Int) -> [Float] {
        var random = TestRandom(17)
        return (0..<(rows * Loop.width)).map { _ in Float(random.normal()) }
    }

    /// The rows of a table added one after the other, `rounds` times over.
    private func sum(_ table: [Float], rounds: Int) -> [Float] {
        var sum = [Float](repeating: 0, count: Loop.width)
        for _ in 0..<rounds {
            for (place, value) in table.enumerated() { sum[place % Loop.width] += value }
        }
        return sum
    }

    /// A hundred steps read their rows by the counter on the device: to the bit what the host adds up, and the host neither
    /// writes nor waits until it reads.
    @Test(arguments: TestDevice.shapes) func stepsNeedNoHost(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let table = table(100)
            let loop = try Loop(device, table: table)
            let program = Program()
            try program.append(loop.step, times: 100)
            #expect(program.runs == 100 && program.launches == 300)
            try device.finish()

            let driver = device.commands.driver
            defer { device.commands.driver = driver }
            var (finishes, reads) = (0, 0)
            device.commands.driver.finish = {
                finishes += 1
                return driver.finish($0)
            }
            device.commands.driver.read = {
                reads += 1
                return driver.read($0, $1, $2, $3, $4)
            }
            try program.run()
            #expect(finishes == 0 && reads == 0 && device.commands.stagedBytes == 0)
            try device.finish()
            #expect(finishes == 1 && reads == 0)
            #expect(try loop.step.read(loop.sum) == sum(table, rounds: 1))
            #expect(try loop.step.damage().isEmpty)
        }
    }

    /// A loop in a loop, twice.
    @Test(arguments: TestDevice.shapes) func roundsBeginTheirStepsAgain(_ shape: TeamShape) throws {
        try TestDevice.with(shape) { device in
            let table = table(7)
            let loop = try Loop(device, table: table)
            let program = Program()
            for _ in 0..<3 {
                try program.append(loop.step, times: 7)
                try program.append(loop.round)
                try program.append(loop.round, times: 0)
            }
            try program.run()
            try program.run()
            #expect(try loop.step.read(loop.sum) == sum(table, rounds: 6))
            #expect(try loop.round.read(loop.rounds.value, as: UInt32.self) == [6])
        }
    }

    @Test func whatDoesNotGoTogetherIsRefused() throws {
        try TestDevice.with(TestDevice.shapes[0]) { device in
            let (one, other) = (try Loop(device, table: table(1)), try Loop(device, table: table(1)))
            let program = Program()
            try program.append(one.step)
            #expect(throws: GraphError.self) { try program.append(other.step) }
            #expect(throws: GraphError.self) { try program.append(one.step, times: -1) }
            #expect(program.runs == 1)
        }
    }
}
