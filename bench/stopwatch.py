"""Times work in PyTorch, and what else the machine was busy with."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

from driftgpu import Timing


class Stopwatch:
    """Times calls as driftgpu does: in runs of about a tenth of a second, waiting for the device after each run."""

    def __init__(self, device: torch.device, repetitions: int) -> None:
        self.device, self.repetitions = device, repetitions

    def warm_up(self, work: Callable[[], object]) -> None:
        # The first calls compile; a CUDA graph is recorded on the second and third.
        for _ in range(4):
            work()
        self._finish()

    def __call__(self, work: Callable[[], object]) -> Timing:
        once = self._seconds(work, 1)
        count = max(1, min(50, int(0.1 / once)))
        seconds = [self._seconds(work, count) for _ in range(self.repetitions)]
        return Timing(median(seconds), min(seconds))

    def _seconds(self, work: Callable[[], object], count: int) -> float:
        self._finish()
        start = time.perf_counter()
        for _ in range(count):
            work()
        self._finish()
        return (time.perf_counter() - start) / count

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def alternating(rounds: int, sides: list[Callable[[], None]], others: "OtherLoad") -> Iterator[int]:
    """Numbers of rounds, in each of which every side follows. Each goes first as often as the other: what grows warm or slow over a
    round favours neither."""
    for number in range(rounds):
        yield number
        for side in sides if number % 2 == 0 else reversed(sides):
            with others:
                side()


class OtherLoad:
    """Cores that programs other than this one and those it started kept busy inside `with`."""

    def __init__(self) -> None:
        self._wall = self._others = 0.0

    @property
    def cores(self) -> float | None:
        """None where the system does not say."""
        return round(max(0.0, self._others / self._wall), 2) if self._wall > 0 else None

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, *_: object) -> None:
        after = self._now()
        if self._before and after:
            self._wall += after[0] - self._before[0]
            self._others += after[1] - self._before[1]

    @staticmethod
    def _now() -> tuple[float, float] | None:
        """Wall clock, and processor seconds of all others since the start of the system."""
        try:
            # user, nice, system, idle, iowait, irq, softirq, steal; the guests' part is in user.
            ticks = [int(word) for word in Path("/proc/stat").read_text().split()[1:9]]
        except (OSError, ValueError):
            return None
        busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy - sum(os.times()[:4])
