import DriftFormats

/// Images of one size as bytes, one after the other [N, C, H, W]: what IDX and CIFAR files hold.
struct PackedImages: ImageReader {
    let bytes: [UInt8]
    let channels: Int
    let height: Int
    let width: Int
    let transform: ImageTransform

    var mayBreak: Bool { false }
    var form: ImageForm { .bytes }

    func read(_ row: Int, _ variant: ImageVariant, to buffer: UnsafeMutableRawBufferPointer) throws {
        let plane = height * width
        let start = row * channels * plane
        if channels == transform.channels, height == transform.height, width == transform.width, variant == .plain {
            bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + buffer.count)])) }
            return
        }
        var pixels = [UInt8](repeating: 0, count: channels * plane)
        for c in 0..<channels {
            for i in 0..<plane { pixels[i * channels + c] = bytes[start + c * plane + i] }
        }
        let picture = try Picture(width: width, height: height, channels: channels, pixels: pixels)
        try transform.write(picture, variant, to: buffer)
    }
}
