extension Schedule {
    /// From which step on the elements `range` of `storage` are what a run leaves there: after the last step that writes or reads any of
    /// them. -1 where none does.
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
