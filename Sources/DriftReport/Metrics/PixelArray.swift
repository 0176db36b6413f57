import DriftFormats

/// What the numbers of an array of images mean.
public enum ValueRange: String, CaseIterable, Sendable {
    /// Black is -1, white 1.
    case signed
    /// Black is 0, white 1.
    case unit
    /// Black is 0, white 255.
    case byte

    /// The value in [-1, 1].
    package func signed(_ value: Float) -> Float {
        switch self {
        case .signed: value
        case .unit: value * 2 - 1
        case .byte: value / 127.5 - 1
        }
    }
}

/// Images of an array, brought to [N, C, H, W] and [-1, 1].
package struct PixelArray: Sendable {
    package let values: [Float]
    package let shape: [Int]
    /// What was unusual.
    package private(set) var notes: [String] = []

    /// Values that are in [-1, 1] already.
    package init(values: [Float], shape: [Int]) { (self.values, self.shape) = (values, shape) }

    /// Images [N, C, H, W], [N, H, W, C] or [N, H, W]. Floating-point numbers are taken to be in [-1, 1] and whole ones in
    /// 0...255 unless `range` says what they are. Throws a line where they can hardly be that: a picture judged in the wrong
    /// range gives figures that mean nothing.
    package init(_ tensor: NamedTensor, range: ValueRange?, at place: String) throws {
        let numbers: [Float]
        var isWhole = true
        switch tensor.values {
        case .floats(let floats): (numbers, isWhole) = (floats, false)
        case .ints(let ints): numbers = ints.map(Float.init)
        case .longs(let longs): numbers = longs.map(Float.init)
        case .bytes(let bytes): numbers = bytes.map(Float.init)
        }
        let range = try range ?? (isWhole ? Self.checkedWhole(numbers, at: place) : Self.checked(numbers, at: place))
        let (shape, lastIsChannel) = try Self.layout(tensor.shape, at: place)
        self.shape = shape
        let signed = numbers.map(range.signed)
        values = lastIsChannel ? Self.channelsFirst(signed, shape) : signed
        let outside = values.count { $0.isFinite && abs($0) > 1.001 }
        if outside * 100 > values.count {
            let share = NumberText.fixed(100 * Double(outside) / Double(values.count), 1)
            notes.append("\(share) % of the values lie outside [-1, 1]")
        }
    }

    private static let remedy = "say what black and white are by --range: signed [-1, 1], unit [0, 1] or byte [0, 255]"

    /// That floating-point numbers can be in [-1, 1].
    private static func checked(_ numbers: [Float], at place: String) throws -> ValueRange {
        var (low, high, far) = (Float.infinity, -Float.infinity, 0)
        for number in numbers where number.isFinite {
            (low, high) = (min(low, number), max(high, number))
            if abs(number) > 2 { far += 1 }
        }
        guard low <= high else { return .signed }
        guard low < 0, far * 100 <= numbers.count else {
            let span = "from \(NumberText.brief(Double(low))) to \(NumberText.brief(Double(high)))"
            throw DataError(
                "values \(span)\(low < 0 ? "" : ", none below 0"), where [-1, 1] is expected", at: place, fix: remedy)
        }
        return .signed
    }

    /// That whole numbers can be in 0...255.
    private static func checkedWhole(_ numbers: [Float], at place: String) throws -> ValueRange {
        let (low, high) = (numbers.min() ?? 0, numbers.max() ?? 255)
        guard low >= 0, high > 1, high <= 255 else {
            throw DataError(
                "whole numbers from \(NumberText.brief(Double(low))) to \(NumberText.brief(Double(high))), where 0...255 is expected",
                at: place, fix: remedy)
        }
        return .byte
    }

    /// [N, C, H, W], and whether the channels come last in the array.
    private static func layout(_ shape: [Int], at place: String) throws -> (shape: [Int], lastIsChannel: Bool) {
        let colours = [1, 3]
        switch shape.count {
        case 3: return ([shape[0], 1, shape[1], shape[2]], false)
        case 4 where colours.contains(shape[3]) && !colours.contains(shape[1]):
            return ([shape[0], shape[3], shape[1], shape[2]], true)
        case 4 where shape[3] == 4 && !colours.contains(shape[1]) && shape[1] > 4:
            throw DataError("images with transparency \(shape)", at: place, fix: "save red, green and blue alone: a[..., :3]")
        case 4: return (shape, false)
        default: throw DataError("an array \(shape) of no images", at: place, fix: "save images [N, C, H, W] or [N, H, W, C]")
        }
    }

    private static func channelsFirst(_ values: [Float], _ shape: [Int]) -> [Float] {
        let (count, channels, plane) = (shape[0], shape[1], shape[2] * shape[3])
        guard channels > 1 else { return values }
        var result = [Float](repeating: 0, count: values.count)
        for image in 0..<count {
            let start = image * channels * plane
            for channel in 0..<channels {
                for i in 0..<plane { result[start + channel * plane + i] = values[start + i * channels + channel] }
            }
        }
        return result
    }
}
