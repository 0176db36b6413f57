extension Schedule {
    /// The storages that a run of the schedule changes on the device, by name: those a node's result is placed in, and those a
    /// node changes in place.
    public var writtenStorages: [String: Storage] {
        var written: [String: Storage] = [:]
        for step in steps where !step.node.operation.isView {
            let changed = step.node.operation.mutatedInputs.map { step.node.inputs[$0] }
            for tensor in step.node.outputs + changed {
                guard let place = places[plan.viewSources[tensor.id] ?? tensor.id] else { continue }
                written[place.storage.name] = place.storage
            }
        }
        return written
    }
}
