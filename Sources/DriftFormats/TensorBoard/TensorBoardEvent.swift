/// An event of TensorBoard: the message `Event` of tensorflow/core/util/event.proto, with the `Summary` of
/// tensorflow/core/framework/summary.proto in it.
///
/// The bytes are written here. Of the two messages it takes a dozen fields of four kinds; swift-protobuf would be a library, a
/// generator and generated files for them.
package struct TensorBoardEvent: Sendable {
    package enum Content: Sendable {
        /// The first event of every file.
        case fileVersion
        /// The run goes on with the event's step: readers forget what they know of this step and later ones.
        case start
        /// Values by their tag.
        case scalars([(tag: String, value: Double)])
        /// A PNG file, its size and its channels.
        case image(tag: String, png: [UInt8], width: Int, height: Int, channels: Int)
    }

    /// Seconds since 1970.
    package let time: Double
    package let step: Int
    package let content: Content

    package init(time: Double, step: Int, content: Content) {
        (self.time, self.step, self.content) = (time, step, content)
    }

    /// The event as a protobuf message.
    var message: [UInt8] {
        var event = ProtobufMessage()
        event.append(1, time)
        event.append(2, step)
        switch content {
        case .fileVersion: event.append(3, "brain.Event:2")
        case .scalars(let values):
            var summary = ProtobufMessage()
            for (tag, value) in values {
                var part = ProtobufMessage()
                part.append(1, tag)
                part.append(2, Float(value))
                summary.append(1, part)
            }
            event.append(5, summary)
        case .image(let tag, let png, let width, let height, let channels):
            var image = ProtobufMessage()
            image.append(1, height)
            image.append(2, width)
            // Gray is 1 and RGB 3 there, too.
            image.append(3, channels)
            image.append(4, png)
            var (part, summary) = (ProtobufMessage(), ProtobufMessage())
            part.append(1, tag)
            part.append(4, image)
            summary.append(1, part)
            event.append(5, summary)
        case .start:
            var session = ProtobufMessage()
            session.append(1, 1)
            event.append(7, session)
        }
        return event.bytes
    }

    /// The event as a record of a TFRecord file: the length of the message, a checksum of the length, the message and a checksum of it.
    /// Numbers are little-endian.
    package var record: [UInt8] {
        func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        let message = message
        let length = littleEndian(UInt64(message.count))
        return length + littleEndian(CRC32C.masked(length)) + message + littleEndian(CRC32C.masked(message))
    }
}

/// The fields of a protobuf message, one behind the other.
private struct ProtobufMessage {
    private(set) var bytes: [UInt8] = []

    /// How a field's value is written: the last three bits of what stands before it.
    private enum Kind: UInt64 {
        case varint = 0
        case eightBytes = 1
        case counted = 2
        case fourBytes = 5
    }

    mutating func append(_ field: UInt64, _ value: Int) {
        begin(field, .varint)
        append(varint: UInt64(bitPattern: Int64(value)))
    }

    mutating func append(_ field: UInt64, _ value: Double) {
        begin(field, .eightBytes)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func append(_ field: UInt64, _ value: Float) {
        begin(field, .fourBytes)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func append(_ field: UInt64, _ value: [UInt8]) {
        begin(field, .counted)
        append(varint: UInt64(value.count))
        bytes += value
    }

    mutating func append(_ field: UInt64, _ value: String) { append(field, Array(value.utf8)) }
    mutating func append(_ field: UInt64, _ value: ProtobufMessage) { append(field, value.bytes) }

    private mutating func begin(_ field: UInt64, _ kind: Kind) { append(varint: field << 3 | kind.rawValue) }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    private mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
