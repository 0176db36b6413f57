#!/usr/bin/env python3
"""Times a training step and sampling of masked autoregression in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_mar.py --driftgpu .build/release/driftgpu --size mar,mar-energy
    bench/compare_mar.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import torch

from driftgpu import Driftgpu, DriftgpuError, Timing
from golden_mar import check
from mar import MAR, Schedule, Shape
from stopwatch import OtherLoad, Stopwatch
from workloads import Optimizer, compiled


class Step:
    """A training step on random images. How many tokens are hidden changes from step to step, in the law of the settings."""

    def __init__(self, shape: Shape, config: dict, mode: str) -> None:
        self.model, self.shape, self.config = MAR(shape), shape, config
        run, optimizer = config["run"], config["optimizer"]
        self.labels = torch.arange(run["labelsPerStep"] or shape.classes).repeat_interleave(run["samplesPerLabel"])
        self.images = torch.rand(len(self.labels), shape.tokens, shape.token_width) * 2 - 1
        self.schedule = Schedule(1000, self.labels.device)
        self.loss = compiled(self.model.loss, mode)
        self.optimizer = Optimizer(
            self.model,
            SimpleNamespace(
                clip=optimizer["clip"] or float("inf"), ema=optimizer["ema"], weight_decay=optimizer["weightDecay"],
                learning_rate=optimizer["learningRate"], betas=(optimizer["beta1"], optimizer["beta2"]),
                adam_epsilon=optimizer["adamEpsilon"],
            ),
            mode,
            MAR.undecayed,
        )  # fmt: skip

    def __call__(self) -> None:
        stage, count = self.config["stage"], len(self.labels)
        rate = torch.empty(1)
        torch.nn.init.trunc_normal_(rate, 1, stage["maskDeviation"], stage["maskMinimum"], 1)
        masked = max(1, min(self.shape.tokens, int(torch.ceil(rate * self.shape.tokens))))
        order = torch.rand(count, self.shape.tokens).argsort(1)
        drop = torch.rand(count) < self.config["run"]["labelDrop"]
        self.loss(self.labels, drop, self.images, order, masked, self.schedule).backward()
        self.optimizer.step()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), help="the program")
    parser.add_argument("--size", type=lambda text: text.split(","), default=["mar", "mar-energy"], help="sizes, by their names in driftgpu bench")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--per-label", type=int, default=16)
    parser.add_argument("--mode", default="eager", help="eager or compiled")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="only compare the model with recorded results of the references")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.check:
        return 0 if check(options.check, torch.device("cpu"), options.mode) else 1
    program = Driftgpu(options.driftgpu, "cpu", options.threads, options.repetitions)
    stopwatch, others = Stopwatch(torch.device("cpu"), options.repetitions), OtherLoad()
    figures = []
    for size in options.size:
        config = program.config(size)
        shape = Shape.from_config(config)
        step = Step(shape, config, options.mode)
        rounds = config["stage"]["rounds"] or shape.tokens
        schedule = Schedule(config["head"].get("steps", 2), torch.device("cpu"))
        labels = torch.arange(options.labels).repeat_interleave(options.per_label)
        works = {
            "step": (step, lambda: next(iter(program.steps(size, "fp32").values()))),
            "sample": (
                lambda: step.model.sample(labels, rounds, schedule),
                lambda: next(t for w, t in program.samples(size, options.labels, options.per_label, "fp32").items() if not w.is_guided),
            ),
            "sample guided": (
                lambda: step.model.sample(labels, rounds, schedule, 2),
                lambda: next(t for w, t in program.samples(size, options.labels, options.per_label, "fp32").items() if w.is_guided),
            ),
        }
        for name, (mine, its) in works.items():
            stopwatch.warm_up(mine)
            pairs: list[tuple[Timing, Timing]] = []
            for _ in range(options.rounds):
                with others:
                    pairs.append((stopwatch(mine), its()))
            torch_ms, its_ms = (1000 * median(pair[side].median for pair in pairs) for side in (0, 1))
            ratio = median(a.median / b.median for a, b in pairs)
            figures.append({"work": f"{name} {size}", "pytorch_ms": torch_ms, "driftgpu_ms": its_ms, "ratio": ratio})
            print(f"{name} {size}: PyTorch {options.mode} {torch_ms:.1f} ms, driftgpu {its_ms:.1f} ms, ratio {ratio:.2f}", flush=True)
    print(f"{program.about}; PyTorch {torch.__version__}, {options.threads} threads; others kept {others.cores} cores busy")
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "others": others.cores, "device": program.about}, indent=1))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DriftgpuError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
