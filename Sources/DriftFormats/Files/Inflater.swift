import CZlib

/// Inflates deflated bytes of a file from front to back, by zlib, through a buffer of 64 KiB.
///
/// Of gzip data all members are read as one stream. What stands behind the last is passed over, as gunzip does: zeros, with
/// which tapes and archives fill blocks, without a trace, anything else counted in `ignoredBytes`.
final class Inflater {
    /// What stands around the deflated bytes.
    enum Framing {
        /// Nothing, as in zip entries.
        case none
        /// The header and checksum of gzip.
        case gzip

        /// 15 bits of window; zlib takes the framing from the sign and from 16 on top.
        fileprivate var windowBits: Int32 { self == .none ? -15 : 15 + 16 }
    }

    /// Deflate packs no better than this, so that a size can be judged before memory is taken.
    static let mostRatio = 1032
    /// The first bytes of gzip data.
    static let gzipMagic: [UInt8] = [0x1F, 0x8B]

    /// Whether the stream, in gzip data a member, has come to its end.
    private(set) var isEnded = false
    /// Bytes behind the last gzip member that are neither zeros nor a member.
    private(set) var ignoredBytes = 0

    private let file: InputFile
    private let framing: Framing
    /// What of the file has not been read yet.
    private var rest: Range<Int>
    private let failure: (String) -> DataError
    /// zlib remembers where its stream lies, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableBufferPointer<UInt8>

    /// - Parameter failure: the error for damaged data, made from what is wrong with them.
    init(_ file: InputFile, _ range: Range<Int>, _ framing: Framing, failure: @escaping (String) -> DataError) throws {
        (self.file, rest, self.framing, self.failure) = (file, range, framing, failure)
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        input = .allocate(capacity: 1 << 16)
        guard inflateInit2_(stream, framing.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw DataError("zlib cannot be set up", at: file.path, fix: "free some memory")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    /// Bytes of the file's range that have not been inflated.
    var unread: Int { Int(stream.pointee.avail_in) + rest.count }

    /// Inflates into the buffer; fewer bytes than it has room for only where the data end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var done = 0
        while done < buffer.count {
            if isEnded, try !beginMember() { break }
            done += try inflateOnce(UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        }
        return done
    }

    /// Reads to the end, checksum included; false where there are more bytes than have been asked for.
    func finish() throws -> Bool {
        var byte: UInt8 = 0
        return try withUnsafeMutableBytes(of: &byte) { try read(into: $0) } == 0
    }

    private func inflateOnce(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard try fill(1) > 0 else { throw failure("it ends too early") }
        let room = min(buffer.count, 1 << 30)
        stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(room)
        switch inflate(stream, Z_NO_FLUSH) {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END: isEnded = true
        default: throw failure(stream.pointee.msg.map { String(cString: $0) } ?? "not inflated")
        }
        return room - Int(stream.pointee.avail_out)
    }

    /// Goes on to the next gzip member; false where there is none.
    private func beginMember() throws -> Bool {
        guard framing == .gzip, unread > 0 else { return false }
        while try fill(1) > 0, stream.pointee.next_in.pointee == 0 { advance(1) }
        let count = min(2, try fill(2))
        let magic = UnsafeBufferPointer(start: stream.pointee.next_in, count: count)
        guard magic.elementsEqual(Self.gzipMagic) else {
            ignoredBytes = unread
            advance(Int(stream.pointee.avail_in))
            rest = rest.upperBound..<rest.upperBound
            return false
        }
        inflateReset(stream)
        isEnded = false
        return true
    }

    private func advance(_ count: Int) {
        stream.pointee.next_in += count
        stream.pointee.avail_in -= UInt32(count)
    }

    /// Reads on unless `count` bytes are at hand; how many are.
    private func fill(_ count: Int) throws -> Int {
        let left = Int(stream.pointee.avail_in)
        if left >= count || rest.isEmpty { return left }
        if left > 0, let source = stream.pointee.next_in { input.baseAddress?.update(from: source, count: left) }
        let more = min(input.count - left, rest.count)
        try file.read(at: rest.lowerBound, into: UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: input[left..<(left + more)])))
        rest = (rest.lowerBound + more)..<rest.upperBound
        stream.pointee.next_in = input.baseAddress
        stream.pointee.avail_in = UInt32(left + more)
        return left + more
    }
}
