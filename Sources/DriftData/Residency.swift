import DriftFormats

/// Where the images of a run are kept.
public enum Residency: String, Codable, Sendable, CaseIterable {
    /// On the device where they take no more than `limit` there, otherwise as `never`.
    case auto
    /// All on the device.
    case always
    /// Each step's images are read while earlier steps run, and sent to the device.
    case never

    /// Bytes on the device up to which `auto` keeps the images there: 1 GiB.
    public static let limit = 1 << 30

    /// Whether `set` is to be kept on the device. With `flip`, that means both ways round. Throws where it should but cannot.
    package func keeps(_ set: ImageSet, maxAllocation: Int) throws -> Bool {
        let bytes = Double(set.residentRows) * Double(set.byteCount)
        let fits = set.residentRows <= Int(Int32.max) && (maxAllocation == 0 || bytes <= Double(maxAllocation))
        switch self {
        case .never: return false
        case .auto: return fits && bytes <= Double(Self.limit) && set.augmentation.crop == .centre
        case .always:
            guard set.augmentation.crop == .centre else {
                throw ConfigurationError("resident always: a random crop is another image each time; set --crop centre or --resident auto")
            }
            guard fits else {
                throw ConfigurationError("resident always: \(set.residentRows) images are more than the device holds in one piece; set --resident never")
            }
            return true
        }
    }
}

extension ImageSet {
    /// Rows the set takes on the device: with `flip` each image and, after all of them, each mirrored.
    package var residentRows: Int { count * (augmentation.flip ? 2 : 1) }

    /// The row of a drawn image on the device.
    package func residentRow(_ image: DrawnImage) -> Int { image.index + (image.variant.isFlipped ? count : 0) }
}
