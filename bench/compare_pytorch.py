#!/usr/bin/env python3
"""Times a training step and sampling of Drift-AR in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_pytorch.py --driftgpu .build/release/driftgpu --size digits
    bench/compare_pytorch.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

import argparse
import itertools
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from driftgpu import Driftgpu, DriftgpuError, Work
from golden import check
from recipe import Recipe
from report import Report, Variant
from stopwatch import OtherLoad, Stopwatch
from workloads import MODES, PRECISIONS, Sampling, TrainingStep


def compare(options: argparse.Namespace) -> Report:
    device = torch.device(options.device)
    kind = "cpu" if device.type == "cpu" else "gpu"
    driftgpu = Driftgpu(options.driftgpu, kind, options.threads, options.repetitions)
    stopwatch = Stopwatch(device, options.repetitions)
    report = Report(describe(device, options))
    others = OtherLoad()
    for size in options.size:
        recipe = Recipe.from_config(driftgpu.config(size))
        for work_kind in options.work:
            works = prepare(options, recipe, work_kind, size, stopwatch, report)

            def time_driftgpu() -> None:
                if work_kind == "step":
                    report.add_driftgpu(driftgpu.steps(size))
                else:
                    report.add_driftgpu(driftgpu.samples(size, options.labels, options.per_label))

            def time_pytorch() -> None:
                for (work, variant), call in works.items():
                    report.add_pytorch(work, variant, stopwatch(call))

            for number in range(options.rounds):
                progress(f"{work_kind} {size}: round {number + 1} of {options.rounds}")
                # Each goes first as often as the other: what grows warm or slow over a round favours neither.
                sides = [time_driftgpu, time_pytorch]
                for side in sides if number % 2 == 0 else reversed(sides):
                    with others:
                        side()
            report.about["driftgpu"] = driftgpu.about
            report.about["cores_used_by_others"] = others.cores
            # A run takes long; what there is so far survives its end.
            if options.json:
                report.write(options.json)
    return report


def prepare(
    options: argparse.Namespace, recipe: Recipe, kind: str, size: str, stopwatch: Stopwatch, report: Report
) -> dict[tuple[Work, Variant], Callable[[], object]]:
    """Every work of a kind in every way to run it, warmed up. What does not run is named in the report."""
    device, labels, per_label = stopwatch.device, options.labels, options.per_label
    works: dict[tuple[Work, Variant], Callable[[], object]] = {}
    for is_guided, encode_once, precision, mode in itertools.product(
        (False,) if kind == "step" else (False, True), (True, False), options.precision, options.mode
    ):
        if kind == "step":
            work = Work(kind, size, encode_once)
            call = TrainingStep(recipe, encode_once, device, precision, mode)
        else:
            work = Work(kind, size, encode_once, is_guided, labels, per_label)
            call = Sampling(recipe, encode_once, is_guided, labels, per_label, device, precision, mode)
        variant = Variant(mode, precision)
        progress(f"{work.name}: {variant.name} warms up")
        try:
            stopwatch.warm_up(call)
        # Compilers fail in many ways (no g++, too little memory); the other ways to run remain.
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            report.about.setdefault("left_out", []).append(f"{work.name}, {variant.name}: {reason}")
        else:
            works[work, variant] = call
    return works


def describe(device: torch.device, options: argparse.Namespace) -> dict[str, object]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "pytorch": f"PyTorch {torch.__version__} on {name}",
        "threads": options.threads,
        "rounds": options.rounds,
        "repetitions": options.repetitions,
    }


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    def names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
        def parse_names(text: str) -> list[str]:
            for name in text.split(","):
                if known and name not in known:
                    raise argparse.ArgumentTypeError(f"{name}: unknown; there is {', '.join(known)}")
            return text.split(",")

        return parse_names

    def positive(text: str) -> int:
        if not text.isdecimal() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"{text}: take a whole number above 0")
        return int(text)

    is_cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), metavar="PATH")
    parser.add_argument("--size", type=names(()), default=["digits"], help="sizes of driftgpu bench, with commas")
    parser.add_argument("--work", type=names(("step", "sample")), default=["step", "sample"])
    parser.add_argument(
        "--mode", type=names(tuple(MODES)), help="default: eager,compiled, on CUDA cudagraphs as well; also autotuned"
    )
    parser.add_argument(
        "--precision", type=names(PRECISIONS), help="default: fp32, on CUDA fp32,tf32,bf16"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if is_cuda else "cpu")
    parser.add_argument("--threads", type=positive, default=2, help="of both programs, on a CPU")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--repetitions", type=positive, default=5, help="measurements of each work in a round")
    parser.add_argument("--labels", type=positive, default=10, help="labels in sampling")
    parser.add_argument("--per-label", type=positive, default=16, help="images of each label in sampling")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep everything that was measured")
    parser.add_argument(
        "--check", type=Path, metavar="FOLDER", help="only compare the model with recorded results of the reference"
    )
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not is_cuda:
        parser.error("--device cuda: this PyTorch finds no CUDA device")
    if options.mode is None:
        is_graph = options.device == "cuda" and not options.check
        options.mode = ["eager"] + ["compiled"] * (not options.check) + ["cudagraphs"] * is_graph
    if options.precision is None:
        options.precision = ["fp32", "tf32", "bf16"] if options.device == "cuda" else ["fp32"]
    if options.device == "cpu" and ("tf32" in options.precision or "cudagraphs" in options.mode):
        parser.error("--device cpu: there is neither tf32 nor a CUDA graph")
    return options


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    try:
        if options.check:
            device = torch.device(options.device)
            return 0 if all([check(options.check, device, mode) for mode in options.mode]) else 1
        report = compare(options)
    except (DriftgpuError, OSError, ValueError, KeyError) as error:
        what = f"setting {error} is missing" if isinstance(error, KeyError) else error
        print(f"compare_pytorch: {what}", file=sys.stderr)
        return 1
    for name, value in report.about.items():
        for line in value if isinstance(value, list) else [value]:
            print(f"{name}: {line}")
    report.print()
    # Threads that wait for each other lose far more than their share when another program takes a core from one.
    spare = len(os.sched_getaffinity(0)) - (options.threads if options.device == "cpu" else 1)
    others = report.about["cores_used_by_others"]
    if others is not None and others > spare + 0.1:
        print("Other programs took cores from these: the ratios do not hold. Repeat when the machine is idle.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
