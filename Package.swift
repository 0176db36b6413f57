// swift-tools-version: 6.1
import PackageDescription

// Tests wait for the device: optimizing them takes longer than it saves.
let quick: [SwiftSetting] = [.unsafeFlags(["-Onone", "-no-whole-module-optimization", "-enable-batch-mode"])]

let package = Package(
    name: "driftgpu",
    products: [
        .executable(name: "driftgpu", targets: ["driftgpu"]),
        .library(name: "DriftGPU", targets: ["DriftGPU"]),
        .library(name: "DriftAR", targets: ["DriftAR"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenCL", pkgConfig: "OpenCL", providers: [.apt(["ocl-icd-opencl-dev", "opencl-headers"])]),
        .systemLibrary(name: "CCLBlast", pkgConfig: "clblast", providers: [.apt(["libclblast-dev"])]),
        .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CLAPACKE", pkgConfig: "lapacke", providers: [.apt(["liblapacke-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CWebP", pkgConfig: "libwebp", providers: [.apt(["libwebp-dev"])]),
        .target(name: "CJPEG", linkerSettings: [.linkedLibrary("jpeg")]),
        .target(name: "CMPI", linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "DriftMPI", dependencies: ["CMPI"]),
        .target(name: "Kernels"),
        .target(name: "COptDigits"),
        .target(
            name: "DriftGPU",
            dependencies: ["COpenCL", "CCLBlast", "Kernels", .product(name: "Logging", package: "swift-log")]),
        .target(name: "DriftFormats", dependencies: ["CJPEG", "CPNG", "CWebP", "CZlib"]),
        .target(name: "DriftData", dependencies: ["COptDigits", "DriftFormats"]),
        .target(name: "DriftReport", dependencies: ["CLAPACKE", "DriftData", "DriftFormats"]),
        .target(
            name: "DriftAR",
            dependencies: ["DriftData", "DriftFormats", "DriftGPU", "DriftMPI", "DriftReport", .product(name: "Logging", package: "swift-log")]),
        .target(name: "DriftBench", dependencies: ["DriftAR", "DriftData", "DriftFormats", "DriftGPU", "DriftMPI", "DriftReport"]),
        .target(name: "Checks", dependencies: ["DriftAR", "DriftData", "DriftFormats", "DriftGPU"]),
        .executableTarget(
            name: "driftgpu",
            dependencies: [
                "Checks", "DriftAR", "DriftBench", "DriftData", "DriftFormats", "DriftGPU", "DriftMPI", "DriftReport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        .target(name: "TestSupport", dependencies: ["Checks", "DriftData", "DriftFormats", "DriftGPU"], path: "Tests/TestSupport"),
        .testTarget(name: "DriftFormatsTests", dependencies: ["DriftFormats", "TestSupport"], swiftSettings: quick),
        .testTarget(name: "DriftDataTests", dependencies: ["DriftData", "DriftFormats", "TestSupport"], swiftSettings: quick),
        .testTarget(name: "DriftMPITests", dependencies: ["DriftMPI"], swiftSettings: quick),
        .testTarget(name: "DriftReportTests", dependencies: ["DriftData", "DriftFormats", "DriftReport", "TestSupport"], swiftSettings: quick),
        .testTarget(name: "DriftGPUTests", dependencies: ["Checks", "DriftGPU", "TestSupport"], swiftSettings: quick),
        .testTarget(name: "DriftBenchTests", dependencies: ["Checks", "DriftAR", "DriftBench", "DriftData", "DriftFormats", "DriftGPU", "TestSupport"], swiftSettings: quick),
        .testTarget(name: "DriftARTests", dependencies: ["Checks", "DriftAR", "DriftData", "DriftFormats", "DriftGPU", "DriftMPI", "DriftReport", "TestSupport"], swiftSettings: quick),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c2x
)
