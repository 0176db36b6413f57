"""What was measured, as a table and as JSON."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from driftgpu import Timing, Work


@dataclass
class Series:
    """The timings of one program on one piece of work, one for each round."""

    rounds: list[Timing] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(timing.median for timing in self.rounds)

    @property
    def minimum(self) -> float:
        return min(timing.minimum for timing in self.rounds)

    def ratios(self, other: "Series") -> list[float]:
        """This time over the other's, round by round: what slows a whole round slows both."""
        return [a.median / b.median for a, b in zip(self.rounds, other.rounds)]

    def json(self) -> dict[str, Any]:
        def milliseconds(seconds: float) -> float:
            return round(seconds * 1e3, 4)

        return {
            "median": milliseconds(self.median),
            "minimum": milliseconds(self.minimum),
            "rounds": [milliseconds(timing.median) for timing in self.rounds],
        }


@dataclass(frozen=True)
class Variant:
    """A way to run the peer."""

    mode: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.mode} {self.precision}"


@dataclass
class Report:
    about: dict[str, Any]
    # What driftgpu is compared with.
    peer: str = "PyTorch"
    driftgpu: dict[tuple[Work, str], Series] = field(default_factory=dict)
    peers: dict[Work, dict[Variant, Series]] = field(default_factory=dict)

    def add_driftgpu(self, timings: dict[Work, Timing], precision: str) -> None:
        for work, timing in timings.items():
            self.driftgpu.setdefault((work, precision), Series()).rounds.append(timing)

    def leave_out(self, what: str) -> None:
        """Names what has no figures, once."""
        named = self.about.setdefault("left_out", [])
        if what not in named:
            named.append(what)

    def add_peer(self, work: Work, variant: Variant, timing: Timing) -> None:
        self.peers.setdefault(work, {}).setdefault(variant, Series()).rounds.append(timing)

    def fastest(self, work: Work, precision: str) -> Variant:
        variants = {v: s for v, s in self.peers[work].items() if v.precision == precision}
        return min(variants, key=lambda variant: variants[variant].median)

    def rows(self) -> list[list[str]]:
        """One row for each way to run the peer, beside driftgpu at the same precision; the fastest of its precision has a star."""
        rows = [["work", self.peer, "ms", "minimum", "driftgpu ms", "minimum", f"{self.peer} / driftgpu", "of rounds"]]
        for work, variants in self.peers.items():
            for variant, series in variants.items():
                own = self.driftgpu.get((work, variant.precision))
                star = "*" if variant == self.fastest(work, variant.precision) else ""
                row = [work.name, variant.name + star, f"{series.median * 1e3:.2f}", f"{series.minimum * 1e3:.2f}"]
                if own:
                    ratios = series.ratios(own)
                    row += [f"{own.median * 1e3:.2f}", f"{own.minimum * 1e3:.2f}"]
                    row += [f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]
                rows.append(row + ["-"] * (len(rows[0]) - len(row)))
        return rows

    def print(self, threads: int) -> None:
        for name, value in self.about.items():
            for line in value if isinstance(value, list) else [value]:
                print(f"{name}: {line}")
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            # Words to the left, figures to the right.
            cells = [cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in
                     enumerate(zip(row, widths))]  # fmt: skip
            print("  ".join(cells).rstrip())
        # Threads that wait for each other lose far more than their share when another program takes a core from one.
        spare, others = len(os.sched_getaffinity(0)) - threads, self.about.get("cores_used_by_others")
        if others is not None and others > spare + 0.1:
            print("Other programs took cores from these: the ratios do not hold. Repeat when the machine is idle.")

    def write(self, path: Path) -> None:
        entries = []
        for work, variants in self.peers.items():
            for variant, series in variants.items():
                own = self.driftgpu.get((work, variant.precision))
                ratios = series.ratios(own) if own else []
                entries.append(
                    vars(work)
                    | {
                        "mode": variant.mode,
                        "precision": variant.precision,
                        "is_fastest": variant == self.fastest(work, variant.precision),
                        f"{self.peer.lower()}_milliseconds": series.json(),
                        "driftgpu_milliseconds": own.json() if own else None,
                        "ratio": round(median(ratios), 4) if ratios else None,
                        "ratios": [round(ratio, 4) for ratio in ratios],
                    }
                )
        # Under its name only when it is whole: a run may be ended at any time.
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps({"about": self.about, "comparisons": entries}, indent=2) + "\n")
        part.replace(path)
