import Testing
@testable import DriftFormats

@Suite struct ProgressLineTests {
    private final class Screen {
        var text = ""
        var now = 100.0
    }

    private func line(
        _ screen: Screen, columns: Int?, from: Int = 0, total: Int, environment: [String: String] = [:]
    ) -> ProgressLine {
        ProgressLine(
            from: from, total: total, output: .custom(columns: columns, { screen.text += $0 }, environment: environment),
            clock: { screen.now })
    }

    @Test func terminal() {
        let screen = Screen()
        let progress = line(screen, columns: 60, total: 100)
        screen.now += 1
        progress.update(step: 10, losses: [("loss", 0.12345)], images: 160)
        #expect(screen.text == "\rstep  10/100  loss 0.123  160.0 images/s  ETA 9s\u{1B}[K")
        screen.text = ""
        screen.now += 0.01
        progress.update(step: 11, losses: [], images: 16)
        #expect(screen.text == "", "too soon to show again")
        progress.message("saved")
        #expect(screen.text == "\r\u{1B}[Ksaved\nstep  10/100  loss 0.123  160.0 images/s  ETA 9s")
        screen.text = ""
        progress.finish()
        #expect(screen.text.hasPrefix("\rstep  11/100"))
        #expect(screen.text.hasSuffix("\n"))
    }

    @Test("the share of the peak comes last, in percent")
    func share() {
        let screen = Screen()
        let progress = line(screen, columns: nil, total: 2)
        screen.now += 10
        progress.update(step: 1, losses: [], images: 10, share: 0.0423)
        screen.now += 10
        progress.update(step: 2, losses: [], images: 10, share: 1.234)
        #expect(screen.text == "step 1/2  1.000 images/s  ETA 10s  4.2 % of peak\nstep 2/2  1.000 images/s  took 20s  123 % of peak\n")
    }

    @Test func narrowTerminal() {
        let screen = Screen()
        let progress = line(screen, columns: 10, total: 100)
        progress.update(step: 1, losses: [("loss", 1)], images: 1)
        #expect(screen.text == "\rstep   1/\u{1B}[K")
    }

    @Test("a dumb terminal gets plain lines")
    func dumb() {
        let screen = Screen()
        let progress = line(screen, columns: 60, total: 2, environment: ["TERM": "dumb"])
        for step in 1...2 {
            screen.now += 20
            progress.update(step: step, losses: [], images: 1)
        }
        progress.message("done")
        progress.finish()
        #expect(screen.text.split(separator: "\n").map { $0.prefix(8) } == ["step 1/2", "step 2/2", "done"])
        #expect(!screen.text.contains("\r") && !screen.text.contains("\u{1B}"))
    }

    @Test("with NO_COLOR the line is rewritten without escape sequences")
    func noColor() {
        let screen = Screen()
        let progress = line(screen, columns: 60, total: 100, environment: ["TERM": "xterm", "NO_COLOR": "1"])
        screen.now += 1
        progress.update(step: 10, losses: [("loss", 0.12345)], images: 160)
        let first = "step  10/100  loss 0.123  160.0 images/s  ETA 9s"
        screen.now += 1
        progress.update(step: 11, losses: [], images: 1)
        let second = screen.text.split(separator: "\r").last.map(String.init) ?? ""
        #expect(screen.text == "\r" + first + "\r" + second && second.count == first.count, "the longer line is covered")
        progress.message("saved")
        #expect(!screen.text.contains("\u{1B}") && screen.text.contains("\rsaved\n"))
    }

    @Test func plainStream() {
        let screen = Screen()
        let progress = line(screen, columns: nil, from: 50, total: 100)
        for step in 51...100 {
            screen.now += 1
            progress.update(step: step, losses: [], images: 4)
        }
        progress.message("done")
        progress.finish()
        let lines = screen.text.split(separator: "\n").map(String.init)
        #expect(lines.count == 7)
        #expect(lines[0] == "step  51/100  4.000 images/s  ETA 49s")
        #expect(lines[5] == "step 100/100  4.000 images/s  took 50s")
        #expect(lines[6] == "done")
        #expect(!screen.text.contains("\r"))
    }

    @Test func numbers() {
        #expect(NumberText.fixed(1.005, 1) == "1.0")
        #expect(NumberText.fixed(-0.04, 1) == "0.0")
        #expect(NumberText.fixed(-12.3456, 3) == "-12.346")
        #expect(NumberText.fixed(2.5, 0) == "3")
        #expect(NumberText.fixed(.nan, 2) == "nan")
        #expect(NumberText.fixed(-.infinity, 2) == "-inf")
        #expect(NumberText.short(0) == "0")
        #expect(NumberText.short(5e-7) == "5.00e-7")
        #expect(NumberText.short(-1234567) == "-1.23e6")
        #expect(NumberText.short(12.3456) == "12.35")
        #expect(NumberText.duration(59.4) == "59s")
        #expect(NumberText.duration(185) == "3m05s")
        #expect(NumberText.duration(7620) == "2h07m")
        #expect(NumberText.duration(273_600) == "3d04h")
        #expect(NumberText.duration(.infinity) == "?")
    }
}
