import Checks
import TestSupport
import Testing

@testable import DriftGPU

@Suite struct GroupNormTests {
    @Test(arguments: GroupNormCases.all, TestDevice.shapes)
    func agreesWithReference(_ operation: OperationCase, _ shape: TeamShape) throws { try operation.check(shape) }
}
