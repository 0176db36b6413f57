// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "driftgpu", path: "..")],
    targets: [
        .executableTarget(name: "FuzzReaders", dependencies: [.product(name: "DriftAR", package: "driftgpu")], path: "Sources"),
    ],
    swiftLanguageModes: [.v6]
)
