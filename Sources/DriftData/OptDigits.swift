import COptDigits

/// 1797 real handwritten digits of 8x8 pixels, embedded in the binary.
public enum OptDigits {
    /// Who made the data, and its licence.
    public static var attribution: String { String(cString: optdigits_attribution()) }

    /// All digits: [1797, 1, 8, 8], pixel values 0...16 mapped to [-1, 1].
    public static func all() throws -> Dataset {
        let bytes = UnsafeBufferPointer(start: optdigits_records(), count: optdigits_byte_count())
        let count = bytes.count / recordBytes
        var images: [Float] = []
        var labels: [Int32] = []
        images.reserveCapacity(count * pixels)
        for n in 0..<count {
            let record = bytes[n * recordBytes..<(n + 1) * recordBytes]
            images += record.dropLast().map { Float($0) / 8 - 1 }
            labels += record.suffix(1).map(Int32.init)
        }
        return try Dataset(images: images, shape: [count, 1, 8, 8], labels: labels, classNames: (0..<10).map(String.init),
                           name: "optdigits")
    }

    /// The fixed split: in each class every fifth image is held out (1442 for training, 355 held out).
    public static func split() throws -> (training: Dataset, heldOut: Dataset) {
        try all().split(holdingOut: 5)
    }

    private static let pixels = 64
    private static let recordBytes = 65
}
