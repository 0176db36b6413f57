#!/usr/bin/env python3
"""Times a training step and sampling of Drift-AR in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_pytorch.py --driftgpu .build/release/driftgpu --size digits
    bench/compare_pytorch.py --check Tests/Fixtures/golden
    bench/compare_pytorch.py --alone --seconds 120 --size base,digits --json pytorch.json

bench/README.md says what is compared and how to read the table.
"""

import argparse
import gc
import itertools
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from arguments import names, positive
from driftgpu import Driftgpu, DriftgpuError, Work
from golden import check
from recipe import Recipe
from report import Report, Variant
from stopwatch import OtherLoad, Stopwatch, alternating
from workloads import MODES, PRECISIONS, Sampling, TrainingStep


def compare(options: argparse.Namespace) -> Report:
    device = torch.device(options.device)
    kind = "cpu" if device.type == "cpu" else "gpu"
    driftgpu = Driftgpu(
        options.driftgpu, options.driftgpu_device or kind, options.threads, options.repetitions, options.labels_per_step, options.batch
    )
    stopwatch = Stopwatch(device, options.repetitions)
    report = Report(describe(device, options))
    others = OtherLoad()
    deadline = time.monotonic() + options.seconds
    for size, work_kind in itertools.product(options.size, options.work):
        recipe = Recipe.from_config(driftgpu.config(size))
        if options.alone:
            # One after the other: what there is when time is up has its figures.
            for entry in kinds_of_work(options, recipe, work_kind, size):
                call = warmed_up(entry, recipe, stopwatch, report, deadline)
                if call and not options.warm_up:
                    report.add_peer(entry.work, entry.variant, stopwatch(call))
                # Memory of this model is the next one's.
                del call
                free(device)
                keep(report, options)
            continue
        works = {
            (entry.work, entry.variant): call
            for entry in kinds_of_work(options, recipe, work_kind, size)
            if (call := warmed_up(entry, recipe, stopwatch, report, deadline))
        }

        def time_driftgpu() -> None:
            for precision in options.precision:
                try:
                    if work_kind == "step":
                        timings = driftgpu.steps(size, precision)
                    else:
                        timings = driftgpu.samples(size, options.labels, options.per_label, precision)
                except DriftgpuError as error:
                    # Devices without tensor cores have single precision alone.
                    if precision == "fp32":
                        raise
                    report.leave_out(f"driftgpu, {work_kind} {size} {precision}: {error}")
                else:
                    report.add_driftgpu(timings, precision)

        def time_pytorch() -> None:
            for (work, variant), call in works.items():
                report.add_peer(work, variant, stopwatch(call))

        for number in alternating(options.rounds, [time_driftgpu, time_pytorch], others):
            progress(f"{work_kind} {size}: round {number + 1} of {options.rounds}")
        report.about["driftgpu"] = driftgpu.about
        report.about["cores_used_by_others"] = others.cores
        # A run takes long; what there is so far survives its end.
        keep(report, options)
        works.clear()
        free(device)
    return report


@dataclass(frozen=True)
class Entry:
    """A piece of work in one way to run it, not yet made."""

    work: Work
    variant: Variant
    make: Callable[[Recipe, torch.device], Callable[[], object]]


def kinds_of_work(options: argparse.Namespace, recipe: Recipe, kind: str, size: str) -> Iterator[Entry]:
    """Every work of a kind in every way to run it: what is worth the most first, where time may end early."""
    labels, per_label = options.labels, options.per_label
    encodings = {"once": [True], "each": [False], "both": [True, False]}[options.encode]
    for mode, precision, is_guided, encode_once in itertools.product(
        options.mode, options.precision, (False,) if kind == "step" or options.plain else (False, True), encodings
    ):
        variant = Variant(mode, precision)
        if kind == "step":
            work = Work(kind, size, encode_once, images=recipe.labels * recipe.samples)
            yield Entry(work, variant, partial(make_step, work=work, variant=variant))
        else:
            work = Work(kind, size, encode_once, is_guided, labels, per_label, images=labels * per_label)
            yield Entry(work, variant, partial(make_sampling, work=work, variant=variant))


def make_step(recipe: Recipe, device: torch.device, work: Work, variant: Variant) -> Callable[[], object]:
    return TrainingStep(recipe, work.encode_once, device, variant.precision, variant.mode)


def make_sampling(recipe: Recipe, device: torch.device, work: Work, variant: Variant) -> Callable[[], object]:
    return Sampling(
        recipe, work.encode_once, work.is_guided, work.labels, work.per_label, device, variant.precision, variant.mode
    )


def warmed_up(
    entry: Entry, recipe: Recipe, stopwatch: Stopwatch, report: Report, deadline: float
) -> Callable[[], object] | None:
    """The work after its first runs; None where it does not run or time is up, which is named in the report."""
    name = f"{entry.work.name}, {entry.variant.name}"
    if time.monotonic() >= deadline:
        report.leave_out(f"{name}: no time left")
        return None
    progress(f"{name}: warms up")
    try:
        call = entry.make(recipe, stopwatch.device)
        stopwatch.warm_up(call)
    # Compilers fail in many ways (no g++, too little memory); the other ways to run remain.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        report.leave_out(f"{name}: {reason}")
        return None
    return call


def free(device: torch.device) -> None:
    """Gives back what models that are gone held."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def keep(report: Report, options: argparse.Namespace) -> None:
    if options.json:
        report.write(options.json)


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
    is_cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), metavar="PATH")
    parser.add_argument("--size", type=names(), default=["digits"], help="sizes of driftgpu bench, with commas")
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
    parser.add_argument("--labels-per-step", type=positive, help="labels in a step, instead of the size's own")
    parser.add_argument("--batch", type=positive, help="images in a step, instead of the size's own")
    parser.add_argument("--encode", choices=("once", "each", "both"), default="both", help="labels once or every image")
    parser.add_argument("--plain", action="store_true", help="no guidance in sampling")
    parser.add_argument("--driftgpu-device", metavar="NAME", help="driftgpu's device, where it is not the kind PyTorch uses")
    parser.add_argument("--alone", action="store_true", help="time PyTorch only, each work once, what matters most first")
    parser.add_argument("--warm-up", action="store_true", help="with --alone: compile, which fills the caches, and time nothing")
    parser.add_argument(
        "--seconds", type=positive, default=1 << 30, help="begin no further work after as many; what is left out is named"
    )
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
    report.print(threads=options.threads if options.device == "cpu" else 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
