extension Schedule {
    /// The last step that reads or writes any of the elements `range` of `storage`; after it they are what the run leaves there. -1 where no
    /// step does.
    public func lastTurn(of range: Range<Int>, in storage: Storage) -> Int {
        steps.lastIndex { step in
            guard !step.node.operation.isView else { return false }
            return (step.node.inputs + step.node.outputs).contains { tensor in
                guard let place = places[plan.viewSources[tensor.id] ?? tensor.id], place.storage.name == storage.name else { return false }
                return place.offset < range.upperBound && range.lowerBound < place.offset + place.count
            }
        } ?? -1
    }
}
