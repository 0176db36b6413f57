/// A figure with the name of its file and what to read from it.
package struct NamedFigure: Sendable {
    /// Of its file, without the ending.
    package let name: String
    /// Plain text.
    let caption: String
    package let figure: any Figure
    /// Takes the whole width of the page.
    var isWide = false

    package init(name: String, caption: String, figure: any Figure, isWide: Bool = false) {
        (self.name, self.caption, self.figure, self.isWide) = (name, caption, figure, isWide)
    }
}
