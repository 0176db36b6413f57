import DriftFormats

extension FeatureStatistics {
    /// Statistics that others have stored: an .npz archive with `mu` [D] and `sigma` [D, D], of float32 or float64.
    public init(npz path: String) throws {
        let archive = try ZipArchive(path)
        func array(_ name: String, rank: Int) throws -> (shape: [Int], values: [Double]) {
            guard archive.entries[name + ".npy"] != nil else {
                throw DataError("no array '\(name)'", at: path, fix: "save mu [D] and sigma [D, D] with numpy.savez")
            }
            let place = "\(path), \(name)"
            let array = try NPY.doubles(archive.contents(name + ".npy", limit: Self.byteLimit), place)
            guard array.shape.count == rank else {
                throw DataError("\(array.shape), not of \(rank) dimensions", at: place, fix: "save mu [D] and sigma [D, D] with numpy.savez")
            }
            return array
        }
        let (mean, covariance) = (try array("mu", rank: 1), try array("sigma", rank: 2))
        guard covariance.shape == [mean.shape[0], mean.shape[0]] else {
            throw DataError(
                "sigma \(covariance.shape) for mu \(mean.shape)", at: path, fix: "save mu [D] and sigma [D, D] of the same features")
        }
        try self.init(mean: mean.values, covariance: covariance.values, name: path)
    }

    /// The largest covariance and a header.
    private static let byteLimit = 8 * widthLimit * widthLimit + (1 << 16) + 10
}
