"""Times training steps and sampling of models that draw single tokens, in PyTorch and in driftgpu in alternating rounds of one run."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from driftgpu import Driftgpu, DriftgpuError, Timing
from stopwatch import OtherLoad, Stopwatch
from token_heads import Schedule, TokenModel
from workloads import Optimizer, compiled

CPU = torch.device("cpu")
# A step, sampling without and with guidance.
Works = tuple[Callable[[], object], Callable[[], object], Callable[[], object]]


class Step:
    """A training step on random images. `more` gives what the loss takes beside labels, what is dropped, and images, new in each step."""

    def __init__(self, model: TokenModel, config: dict[str, Any], mode: str, more: Callable[[int], tuple[Any, ...]]) -> None:
        self.more = more
        run, optimizer = config["run"], config["optimizer"]
        self.labels = torch.arange(run["labelsPerStep"] or model.shape.classes).repeat_interleave(run["samplesPerLabel"])
        self.images = torch.rand(len(self.labels), model.shape.tokens, model.shape.head.token_width) * 2 - 1
        self.label_drop = run["labelDrop"]
        self.schedule = Schedule(1000, CPU)
        self.loss = compiled(model.loss, mode)
        self.optimizer = Optimizer(
            model,
            SimpleNamespace(
                clip=optimizer["clip"] or math.inf, ema=optimizer["ema"], weight_decay=optimizer["weightDecay"],
                learning_rate=optimizer["learningRate"], betas=(optimizer["beta1"], optimizer["beta2"]),
                adam_epsilon=optimizer["adamEpsilon"],
            ),
            mode,
            model.undecayed,
        )  # fmt: skip

    def __call__(self) -> None:
        count = len(self.labels)
        drop = torch.rand(count) < self.label_drop
        self.loss(self.labels, drop, self.images, *self.more(count), self.schedule).backward()
        self.optimizer.step()


def parsed(about: str | None, sizes: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), help="the program")
    parser.add_argument("--size", type=lambda text: text.split(","), default=sizes, help="sizes, by their names in driftgpu bench")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--per-label", type=int, default=16)
    parser.add_argument("--mode", default="eager", help="eager or compiled")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="only compare the model with recorded results of the references")
    return parser.parse_args()


def compare(options: argparse.Namespace, works_of: Callable[[dict[str, Any], Tensor, str], Works]) -> None:
    """`works_of` gives the works of settings, for sampling of these labels in a mode."""
    program = Driftgpu(options.driftgpu, "cpu", options.threads, options.repetitions)
    stopwatch, others = Stopwatch(CPU, options.repetitions), OtherLoad()
    labels = torch.arange(options.labels).repeat_interleave(options.per_label)
    figures = []

    def step(size: str) -> Timing:
        return next(iter(program.steps(size, "fp32").values()))

    def sample(size: str, is_guided: bool) -> Timing:
        timings = program.samples(size, options.labels, options.per_label, "fp32")
        return next(timing for work, timing in timings.items() if work.is_guided == is_guided)

    for size in options.size:
        theirs = {"step": step, "sample": lambda size: sample(size, False), "sample guided": lambda size: sample(size, True)}
        for (name, its), mine in zip(theirs.items(), works_of(program.config(size), labels, options.mode), strict=True):
            stopwatch.warm_up(mine)
            pairs: list[tuple[Timing, Timing]] = []
            for _ in range(options.rounds):
                with others:
                    pairs.append((stopwatch(mine), its(size)))
            torch_ms, its_ms = (1000 * median(pair[side].median for pair in pairs) for side in (0, 1))
            ratio = median(a.median / b.median for a, b in pairs)
            figures.append({"work": f"{name} {size}", "pytorch_ms": torch_ms, "driftgpu_ms": its_ms, "ratio": ratio})
            print(f"{name} {size}: PyTorch {options.mode} {torch_ms:.1f} ms, driftgpu {its_ms:.1f} ms, ratio {ratio:.2f}", flush=True)
    print(f"{program.about}; PyTorch {torch.__version__}, {options.threads} threads; others kept {others.cores} cores busy")
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "others": others.cores, "device": program.about}, indent=1))


def run(
    about: str | None, sizes: list[str], check: Callable[[Path, torch.device, str], bool],
    works_of: Callable[[dict[str, Any], Tensor, str], Works],
) -> None:  # fmt: skip
    """The program of a comparison."""
    options = parsed(about, sizes)
    torch.set_num_threads(options.threads)
    try:
        if options.check:
            sys.exit(0 if check(options.check, CPU, options.mode) else 1)
        compare(options, works_of)
    except (DriftgpuError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
