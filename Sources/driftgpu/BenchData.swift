import ArgumentParser
import DriftBench
import DriftData
import DriftFormats
import Foundation

extension Bench {
    struct Data: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How fast pictures are read, decoded and brought to a size, by one thread and by all.",
            discussion: "Files are read once before they are timed, so the disk is not part of it. MB/s are of the files.")

        @Option(help: ArgumentHelp("Images, as train takes them.", valueName: "path")) var data: String
        @Option(help: ArgumentHelp("Side of the images.", valueName: "n")) var size: Int
        @Option(help: ArgumentHelp("Seconds of each measurement.", valueName: "x")) var seconds: Double = 3

        func validate() throws {
            if size < 1 { throw ValidationError("--size \(size): take 1 or more") }
            if !(0.01...3600).contains(seconds) { throw ValidationError("--seconds \(seconds): take 0.01 to 3600") }
        }

        func run() throws {
            try reporting {
                var options = DataSource.Options()
                (options.height, options.width) = (size, size)
                let set = try DataSource.open(data, options).training
                Output.line("\(set.count) images, as \(set.channels)x\(set.height)x\(set.width)")
                Output.line("threads  images/s   MB/s  us/image and thread")
                for threads in Set([1, ProcessInfo.processInfo.activeProcessorCount]).sorted() {
                    let result = try DataBenchmark(set, threads: threads, seconds: seconds)
                    Output.line(
                        String(
                            format: "%7d  %8.0f  %5.1f  %8.0f", threads, result.imagesPerSecond, result.bytesPerSecond / 1e6,
                            1e6 * Double(threads) / result.imagesPerSecond))
                }
            }
        }
    }
}
