/// The tensors and scalars of a pickle by the path of keys to them, joined by "/".
struct PickleOutline {
    /// Number of the tensor at each path.
    private(set) var tensors: [String: Int] = [:]
    private(set) var scalars: [String: String] = [:]
    private let pickle: Pickle
    /// Bytes of names and items of lists left: the same container may lie at many paths, and a small file could unfold without
    /// end.
    private var budget: Int

    private static let depthLimit = 32
    private static let budgetLimit = 20_000_000
    private static let textLimit = 200
    private static let listLimit = 16

    init(_ pickle: Pickle) throws(PickleError) {
        self.pickle = pickle
        // State copied from object to object makes more items than a file has bytes, so they justify only so much.
        budget = min(Self.budgetLimit, 1_000_000 + 200 * pickle.containers.reduce(0) { $0 + $1.items.count })
        try visit(pickle.root, path: "", depth: 0)
    }

    private mutating func visit(_ value: Pickle.Value, path: String, depth: Int) throws(PickleError) {
        budget -= 1 + path.utf8.count
        guard depth <= Self.depthLimit, budget >= 0 else {
            throw PickleError(what: "containers nested without end at '\(path.shortened(to: 80))'", offset: 0)
        }
        func below(_ key: String) -> String { path.isEmpty ? key : path + "/" + key }
        // Each visit looks at every item, those that are left out too.
        if case .container(let number) = value { budget -= pickle.containers[number].items.count }
        if case .tensor(let number) = value {
            tensors[path.isEmpty ? "tensor" : path] = number
        } else if let text = pickle.text(of: value) {
            scalars[path.isEmpty ? "value" : path] = text.shortened(to: Self.textLimit)
        } else if let members = pickle.members(of: value) {
            for (key, member) in members { try visit(member, path: below(key), depth: depth + 1) }
        } else if let items = pickle.items(of: value) {
            let texts = items.compactMap { pickle.text(of: $0)?.shortened(to: Self.textLimit) }
            if texts.count == items.count {
                let list = texts.count > Self.listLimit ? "list of \(texts.count)" : texts.joined(separator: ", ")
                scalars[path.isEmpty ? "value" : path] = list.shortened(to: Self.textLimit)
            } else {
                for (i, item) in items.enumerated() { try visit(item, path: below(String(i)), depth: depth + 1) }
            }
        }
    }
}

extension String {
    /// Its first Unicode scalars: unlike a character, one cannot be megabytes long.
    package func shortened(to count: Int) -> String {
        String(String.UnicodeScalarView(unicodeScalars.prefix(count)))
    }
}
