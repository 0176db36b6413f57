"""What was measured, as a table and as JSON."""

import json
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

    def ratio(self, other: "Series") -> float:
        """This time over the other's, the median over the rounds: what slows a whole round slows both."""
        return median(a.median / b.median for a, b in zip(self.rounds, other.rounds))

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
    """A way to run PyTorch."""

    mode: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.mode} {self.precision}"


@dataclass
class Report:
    about: dict[str, Any]
    driftgpu: dict[tuple[Work, str], Series] = field(default_factory=dict)
    pytorch: dict[Work, dict[Variant, Series]] = field(default_factory=dict)

    def add_driftgpu(self, timings: dict[Work, Timing], precision: str) -> None:
        for work, timing in timings.items():
            self.driftgpu.setdefault((work, precision), Series()).rounds.append(timing)

    def leave_out(self, what: str) -> None:
        """Names what has no figures, once."""
        named = self.about.setdefault("left_out", [])
        if what not in named:
            named.append(what)

    def add_pytorch(self, work: Work, variant: Variant, timing: Timing) -> None:
        self.pytorch.setdefault(work, {}).setdefault(variant, Series()).rounds.append(timing)

    def fastest(self, work: Work, precision: str) -> Variant:
        variants = {v: s for v, s in self.pytorch[work].items() if v.precision == precision}
        return min(variants, key=lambda variant: variants[variant].median)

    def rows(self) -> list[list[str]]:
        """One row for each way to run PyTorch, beside driftgpu at the same precision; the fastest of its precision has a star."""
        rows = [["work", "PyTorch", "ms", "minimum", "driftgpu ms", "minimum", "PyTorch / driftgpu"]]
        for work, variants in self.pytorch.items():
            for variant, series in variants.items():
                own = self.driftgpu.get((work, variant.precision))
                star = "*" if variant == self.fastest(work, variant.precision) else ""
                row = [work.name, variant.name + star, f"{series.median * 1e3:.2f}", f"{series.minimum * 1e3:.2f}"]
                if own:
                    row += [f"{own.median * 1e3:.2f}", f"{own.minimum * 1e3:.2f}", f"{series.ratio(own):.2f}"]
                rows.append(row + ["-"] * (len(rows[0]) - len(row)))
        return rows

    def print(self) -> None:
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            # Words to the left, figures to the right.
            cells = [cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in
                     enumerate(zip(row, widths))]  # fmt: skip
            print("  ".join(cells).rstrip())

    def write(self, path: Path) -> None:
        entries = []
        for work, variants in self.pytorch.items():
            for variant, series in variants.items():
                own = self.driftgpu.get((work, variant.precision))
                entries.append(
                    vars(work)
                    | {
                        "mode": variant.mode,
                        "precision": variant.precision,
                        "is_fastest": variant == self.fastest(work, variant.precision),
                        "pytorch_milliseconds": series.json(),
                        "driftgpu_milliseconds": own.json() if own else None,
                        "ratio": round(series.ratio(own), 4) if own else None,
                    }
                )
        # Under its name only when it is whole: a run may be ended at any time.
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps({"about": self.about, "comparisons": entries}, indent=2) + "\n")
        part.replace(path)
