/// A picture as it was decoded at a part of its size.
package struct ReducedPicture: Sendable {
    package let picture: Picture
    /// Width of the original in pixels of this picture. It need not be whole: the last column and row may reach beyond the original's edge.
    package let width: Double
    package let height: Double

    package init(_ picture: Picture, width: Double, height: Double) {
        (self.picture, self.width, self.height) = (picture, width, height)
    }

    /// A picture as it is.
    package init(_ picture: Picture) { self.init(picture, width: Double(picture.width), height: Double(picture.height)) }

    /// How often a picture of that width and height is to be halved.
    package typealias Halvings = (_ width: Int, _ height: Int) -> Int

    /// The picture of a file, halved as often as `halvings` says of its size where its format can be decoded so, and else as it is.
    package static func read(_ path: String, _ halvings: Halvings) throws -> ReducedPicture {
        let bytes = try Files.read(path)
        return try Picture.naming(path) {
            guard let format = PictureFormat(bytes) else { throw Picture.unknown(bytes, at: Picture.place) }
            return format == .jpeg ? try JPEG.decode(bytes, halvings) : ReducedPicture(try format.decode(bytes))
        }
    }
}
