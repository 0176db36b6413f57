#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The few file system calls the library needs, with errors that name the path.
package enum Files {
    /// The error of the system call that just failed; reads `errno`, so call it first thing.
    package static func failure(_ action: String, _ path: String) -> DataError {
        let code = errno
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        let remedy: String
        switch code {
        case ENOENT: remedy = "check that the path exists"
        case EACCES, EPERM, EROFS: remedy = "check the permissions or choose another folder"
        case ENOSPC, EDQUOT: remedy = "free some space or choose another folder"
        case ENOTDIR: remedy = "a file stands where a folder is needed: choose another folder"
        case EISDIR: remedy = "a folder stands where a file is needed: name the file"
        case ENAMETOOLONG: remedy = "choose a shorter name"
        default: remedy = "check the path and the disk"
        }
        return DataError("cannot \(action): \(reason)", at: path, fix: remedy)
    }

    /// `folder/name`, without doubling the slash.
    package static func join(_ folder: String, _ name: String) -> String {
        if folder.isEmpty { return name }
        return folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    /// The path up to its last component; "." for a bare name.
    package static func parent(of path: String) -> String {
        var path = Substring(path)
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last component of the path.
    package static func name(of path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }

    package static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }

    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// All bytes of a regular file.
    package static func read(_ path: String) throws -> [UInt8] {
        let file = try InputFile(path)
        return try file.bytes(0..<file.byteCount)
    }

    /// Creates the folder and those above it; one that exists is fine.
    package static func makeFolder(_ path: String) throws {
        if isFolder(path) { return }
        let above = parent(of: path)
        if above != path, above != "." { try makeFolder(above) }
        if mkdir(path, 0o777) != 0 {
            let exists = errno == EEXIST
            if exists, isFolder(path) { return }
            // EEXIST alone would not say that the thing in the way is a file.
            if exists { errno = ENOTDIR }
            throw failure("create the folder", path)
        }
    }

    /// Names in the folder, sorted; without "." and "..".
    package static func names(in path: String) throws -> [String] {
        var names: [String] = []
        try list(path) { name, _ in names.append(name) }
        return names.sorted()
    }

    /// Names in the folder in the order of their bytes, without "." and "..", and which of them are folders or links to such.
    package static func entries(in path: String) throws -> [(name: String, isFolder: Bool)] {
        var entries: [(name: String, isFolder: Bool)] = []
        try list(path) { name, kind in
            // Most file systems say what a name is; of links and elsewhere it is asked for.
            let isKnown = kind != Int(DT_UNKNOWN) && kind != Int(DT_LNK)
            entries.append((name, isKnown ? kind == Int(DT_DIR) : isFolder(join(path, name))))
        }
        return entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private static func list(_ path: String, _ body: (String, Int) -> Void) throws {
        guard let folder = opendir(path) else { throw failure("list the folder", path) }
        defer { closedir(folder) }
        while true {
            // The end and an error differ in errno alone.
            errno = 0
            guard let entry = readdir(folder) else {
                if errno != 0 { throw failure("list the folder", path) }
                return
            }
            let capacity = MemoryLayout.size(ofValue: entry.pointee.d_name)
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: capacity) { String(cString: $0) }
            }
            if name != ".", name != ".." { body(name, Int(entry.pointee.d_type)) }
        }
    }

    /// What tells a file or folder from every other, links followed; nil where there is none.
    package static func identity(_ path: String) -> [UInt64]? {
        var status = stat()
        return stat(path, &status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : nil
    }

    package static func rename(_ source: String, to target: String) throws {
        guard renameOnce(source, target) == 0 else { throw failure("rename \(name(of: source)) to it", target) }
    }

    /// Removes a file or a folder with everything in it; links are removed, not followed.
    package static func removeTree(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw failure("look at it", path)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try names(in: path) { try removeTree(join(path, name)) }
            guard rmdir(path) == 0 else { throw failure("remove the folder", path) }
        } else {
            guard unlink(path) == 0 else { throw failure("remove it", path) }
        }
    }

    /// Makes renames and new names in the folder survive a power cut.
    package static func syncFolder(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open the folder", path) }
        defer { close(descriptor) }
        // Some network and overlay file systems have no fsync for folders and say EINVAL: nothing more can be done there.
        if fsync(descriptor) != 0, errno != EINVAL { throw failure("sync the folder", path) }
    }

    private static func renameOnce(_ source: String, _ target: String) -> Int32 {
        #if canImport(Glibc)
        return Glibc.rename(source, target)
        #elseif canImport(Musl)
        return Musl.rename(source, target)
        #else
        return Darwin.rename(source, target)
        #endif
    }
}

/// A regular file open for reading at any offset.
package final class InputFile: Sendable {
    package let path: String
    package let byteCount: Int
    private let descriptor: Int32

    package init(_ path: String) throws {
        // O_NONBLOCK: a FIFO must be refused below, not waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Files.failure("open it", path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = Files.failure("look at it", path)
            close(descriptor)
            throw error
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw DataError("not a regular file", at: path, fix: "name a file")
        }
        self.path = path
        self.byteCount = Int(status.st_size)
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Some of its bytes.
    package func bytes(_ range: Range<Int>) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            try read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<range.count]))
            count = range.count
        }
    }

    /// Its first bytes, as many as there are up to `count`.
    package func beginning(_ count: Int) throws -> [UInt8] { try bytes(0..<min(count, byteCount)) }

    /// Fills the buffer from the offset, or throws.
    package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        guard let base = buffer.baseAddress else { return }
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw Files.failure("read it", path)
            }
            if count == 0 {
                throw DataError("it ends at byte \(offset + done), \(buffer.count - done) bytes too early", at: path,
                                fix: "copy or save the file again")
            }
            done += count
        }
    }
}
