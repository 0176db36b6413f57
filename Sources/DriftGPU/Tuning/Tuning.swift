import Foundation
import Logging

/// Parameters of CLBlast's kernels that were found to be fast on one device with one driver, as they are stored.
public struct Tuning: Codable, Sendable {
    var format = 1
    public let device: String
    public let driver: String
    /// Parameters by the kernel's name; a kernel that is not here keeps CLBlast's own.
    public var kernels: [String: [String: Int]]

    init(_ about: DeviceDescription, kernels: [String: [String: Int]]) {
        (device, driver) = (about.name, about.driver)
        self.kernels = kernels
    }

    /// The folder of stored parameters: DRIFTGPU_CACHE, else the user's cache folder; nil where there is neither.
    public static func folder(environment: [String: String]) -> String? {
        CacheFolder.path("tuning", environment: environment)
    }

    /// The device's file in `folder`.
    public static func path(of about: DeviceDescription, in folder: String) -> String {
        let name = "\(about.name)-\(about.driver)".unicodeScalars.map { scalar in
            scalar.isASCII && (CharacterSet.alphanumerics.contains(scalar) || scalar == "." || scalar == "-") ? String(scalar) : "_"
        }
        return folder + "/" + name.joined() + ".json"
    }

    /// Stores the parameters, replacing those that are there. Throws when the folder cannot be written.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            let url = URL(fileURLWithPath: path)
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try encoder.encode(self).write(to: url, options: .atomic)
        } catch {
            throw DeviceError("\(path): cannot be written; point DRIFTGPU_CACHE to a folder that can")
        }
    }

    /// Gives CLBlast the parameters stored for a device. A file that does not fit is left alone with a warning: CLBlast's
    /// own parameters do for any device.
    static func apply(from folder: String, to about: DeviceDescription, log: Logger) {
        let path = path(of: about, in: folder)
        guard let data = FileManager.default.contents(atPath: path) else { return }
        do {
            guard let tuning = try? JSONDecoder().decode(Tuning.self, from: data), tuning.format == 1 else {
                throw DeviceError("is no tuning of format 1")
            }
            guard tuning.device == about.name, tuning.driver == about.driver else {
                throw DeviceError("belongs to \(tuning.device), driver \(tuning.driver)")
            }
            for (name, parameters) in tuning.kernels {
                guard let kernel = CLBlastKernel(rawValue: name), kernel.accepts(parameters, on: about) else {
                    throw DeviceError("has parameters of \(name) that it cannot have")
                }
            }
            for (name, parameters) in tuning.kernels { try CLBlastKernel(rawValue: name)?.override(parameters, on: about) }
            log.debug("CLBlast's parameters are those of \(path)")
        } catch {
            let reason = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
            log.warning("\(path) \(reason); ignored, delete it or run driftgpu tune")
        }
    }
}
