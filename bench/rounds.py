"""Times training steps and sampling of models in PyTorch and in driftgpu, in alternating rounds of one run."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from arguments import names, positive
from driftgpu import Driftgpu, DriftgpuError, Timing
from stopwatch import OtherLoad, Stopwatch
from workloads import MODES, Optimizer, compiled

CPU = torch.device("cpu")
# Strength of guidance.
CFG = 2


# Labels of images [L, G], those of a label together, and the strength of guidance -> tokens. It has a model of its own.
Sample = Callable[[Tensor, float], Tensor]


class Works(NamedTuple):
    """What is timed of a model."""

    step: Callable[[], object]
    sample: Sample


class Step:
    """A training step on random images [B, R, C], or where labels have the images in common [L, G, R, C]. `more` gives what the loss takes
    beside labels, what is dropped, and images, new in each step."""

    def __init__(
        self, model: nn.Module, config: dict[str, Any], mode: str, more: Callable[[int], tuple[Any, ...]], are_shared: bool = False
    ) -> None:
        self.more = more
        run, data, optimizer = config["run"], config["data"], config["optimizer"]
        labels, group = torch.arange(run["labelsPerStep"] or data["classes"]), run["samplesPerLabel"]
        images = torch.rand(len(labels), group, model.shape.tokens, data["channels"] * data["patch"] ** 2) * 2 - 1
        self.labels, self.images = (labels, images) if are_shared else (labels.repeat_interleave(group), images.flatten(0, 1))
        self.label_drop = run["labelDrop"]
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
        self.loss(self.labels, drop, self.images, *self.more(count)).backward()
        self.optimizer.step()


def parsed(about: str | None, sizes: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), help="the program")
    parser.add_argument("--size", type=names(), default=sizes, help="sizes, by their names in driftgpu bench")
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--repetitions", type=positive, default=3)
    parser.add_argument("--labels", type=positive, default=10)
    parser.add_argument("--per-label", type=positive, default=16)
    parser.add_argument("--one", action="store_true", help="also draw a single image")
    parser.add_argument("--mode", type=names(MODES), default=["eager"], help="eager, compiled or both: eager,compiled")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="only compare the model with recorded results of the references")
    return parser.parse_args()


def compare(options: argparse.Namespace, works_of: Callable[[dict[str, Any], str], Works]) -> None:
    """`works_of` gives the works of settings in a mode."""
    program = Driftgpu(options.driftgpu, "cpu", options.threads, options.repetitions)
    stopwatch, others = Stopwatch(CPU, options.repetitions), OtherLoad()
    batch = torch.arange(options.labels)[:, None].repeat(1, options.per_label)
    figures = []

    def step(size: str) -> Timing:
        return next(iter(program.steps(size, "fp32").values()))

    def sample(labels: Tensor, is_guided: bool) -> Callable[[str], Timing]:
        return lambda size: next(iter(program.samples(size, *labels.shape, "fp32", "guided" if is_guided else "plain").values()))

    # By name what the program does, and how the same is had of works.
    pieces: dict[str, tuple[Callable[[str], Timing], Callable[[Works], Callable[[], object]]]] = {"step": (step, lambda works: works.step)}
    if options.one:
        one = batch[:1, :1]
        pieces["sample of one image"] = sample(one, False), lambda works: lambda: works.sample(one, 1)
    for name, cfg in (("sample", 1), ("sample guided", CFG)):
        pieces[name] = sample(batch, cfg != 1), lambda works, cfg=cfg: lambda: works.sample(batch, cfg)

    for size in options.size:
        config = program.config(size)
        works = {mode: works_of(config, mode) for mode in options.mode}
        mine = {name: {mode: of(works[mode]) for mode in works} for name, (_, of) in pieces.items()}
        for work in (work for modes in mine.values() for work in modes.values()):
            stopwatch.warm_up(work)
        print(f"{size}: warmed up", flush=True)
        for name, (its, _) in pieces.items():
            rounds: list[tuple[dict[str, Timing], Timing]] = []
            for _ in range(options.rounds):
                with others:
                    rounds.append(({mode: stopwatch(work) for mode, work in mine[name].items()}, its(size)))
            its_ms = 1000 * median(its.median for _, its in rounds)
            for mode in options.mode:
                torch_ms = 1000 * median(torchs[mode].median for torchs, _ in rounds)
                ratio = median(torchs[mode].median / its.median for torchs, its in rounds)
                figures.append({"work": f"{name} {size}", "mode": mode, "pytorch_ms": torch_ms, "driftgpu_ms": its_ms, "ratio": ratio})
                print(f"{name} {size}: PyTorch {mode} {torch_ms:.1f} ms, driftgpu {its_ms:.1f} ms, ratio {ratio:.2f}", flush=True)
    print(f"{program.about}; PyTorch {torch.__version__}, {options.threads} threads; others kept {others.cores} cores busy")
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "others": others.cores, "device": program.about}, indent=1))


def run(
    about: str | None, sizes: list[str], check: Callable[[Path, torch.device, str], bool],
    works_of: Callable[[dict[str, Any], str], Works],
) -> None:  # fmt: skip
    """The program of a comparison."""
    options = parsed(about, sizes)
    torch.set_num_threads(options.threads)
    try:
        if options.check:
            sys.exit(0 if all([check(options.check, CPU, mode) for mode in options.mode]) else 1)
        compare(options, works_of)
    except (DriftgpuError, OSError, ValueError, KeyError) as error:
        sys.exit(f"error: setting {error} is missing" if isinstance(error, KeyError) else f"error: {error}")
