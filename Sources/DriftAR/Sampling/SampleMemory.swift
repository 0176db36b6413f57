import DriftGPU

extension Sampler {
    /// A drawing of `perLabel` images of each of `labels` distinct labels, without guidance.
    struct Drawing: Hashable {
        let labels: Int
        let perLabel: Int
    }

    /// What a sampler will have allocated after the given drawings, each from newly encoded labels: its storages, without
    /// those in `known`, and the largest of its graphs' arenas.
    static func planned(
        _ drawings: [Drawing], model: Generator, weights: String, batchLimit: Int, traits: DeviceTraits,
        gemm: any GEMMProvider, known: Set<String>
    ) throws -> (storages: [Storage], arenaBytes: Int) {
        var batches: Set<Drawing> = []
        for drawing in drawings {
            let labelsAtOnce = min(drawing.labels, max(1, batchLimit / drawing.perLabel))
            for labels in DrawingGraph.Size.parts(of: drawing.labels, limit: labelsAtOnce) {
                for images in DrawingGraph.Size.parts(of: drawing.perLabel, limit: batchLimit) {
                    batches.insert(Drawing(labels: labels, perLabel: images))
                }
            }
        }
        let graphs = try model.drawingGraphs(batches.map { .init(labels: $0.labels, perLabel: $0.perLabel) }, weights: weights)
        let schedules = try graphs.map { try Schedule($0, traits: traits, gemm: gemm) }
        let storages = Storage.allocated(for: schedules.flatMap(\.storages.values) + model.drawingStorages)
        return (storages.filter { !known.contains($0.name) }, schedules.map(\.plan.arenaBytes).max() ?? 0)
    }
}
