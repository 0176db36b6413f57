import DriftAR
import DriftData
import DriftFormats
import DriftGPU

extension ClassifierTraining {
    /// Trains a classifier of the images of `source`, showing how far it is, and writes it to a file. Returns it with a line on how good
    /// it is.
    func fit(_ source: DataSource, on device: Device, to path: String) throws -> (fitted: FittedClassifier, line: String) {
        let (training, heldOut) = (try source.training.dataset(), try source.heldOut.dataset())
        let images = imagesInStep(of: try ImageClassifier.Shape(for: training))
        let progress = ProgressLine(total: steps)
        var losses: [(String, Double)] = []
        let fitted = try fit(training: training, heldOut: heldOut, on: device) { step, loss in
            if let loss { losses = [("loss", loss)] }
            progress.update(step: step, losses: losses, images: images)
        }
        progress.finish()
        try fitted.write(to: path)
        let percent = (fitted.accuracy * 1000).rounded() / 10
        return (fitted, "\(path): \(percent) % of \(heldOut.count) held-out images classified correctly")
    }
}
