#!/usr/bin/env python3
"""Times sampling in ONNX Runtime, from graphs that PyTorch exports, and in driftgpu, in alternating rounds of one run on the CPU.

    bench/compare_onnx.py --driftgpu .build/release/driftgpu --size digits:10x16,base:1x2 --json onnx.json

bench/README.md says what is compared and how to read the table.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

try:
    import onnx
    import onnxruntime
    import onnxscript
    import torch
except ImportError as error:
    sys.exit(f"compare_onnx: there is no {error.name}: pip install -r bench/requirements.txt")

import compare_causal
import compare_mar
import compare_transdiff
from arguments import names, positive
from driftgpu import Driftgpu, DriftgpuError, Work
from exported import OPSETS, Exported
from recipe import Recipe
from report import Report, Variant
from rounds import CFG, CPU, Sample
from stopwatch import OtherLoad, Stopwatch, alternating
from workloads import Sampling

# Of an output's largest value. Both sides compute in single precision, in other orders.
TOLERANCE = 1e-4
SIZES = "digits:10x16,small:10x16,base:1x2,transdiff:1x1,transdiff:10x16,mar:10x16,mar-energy:10x16,causal:10x16,causal-energy:10x16"
SAMPLES: dict[tuple[str, str], Callable[[dict[str, Any], str], Sample]] = {
    ("label", "flow-decoder"): compare_transdiff.sample_of,
    ("mar", "diffusion"): compare_mar.sample_of,
    ("mar", "energy"): compare_mar.sample_of,
    ("causal", "flow"): compare_causal.sample_of,
    ("causal", "energy"): compare_causal.sample_of,
}


class Batch(NamedTuple):
    """A size of `driftgpu bench`, and how much is drawn at a time."""

    size: str
    labels: int
    per_label: int

    @classmethod
    def parse(cls, text: str) -> "Batch":
        size, _, batch = text.partition(":")
        counts = (batch or "10x16").split("x")
        if len(counts) != 2 or not all(count.isdecimal() and int(count) for count in counts):
            raise argparse.ArgumentTypeError(f"{text}: after the size a batch, labels x images of each: digits:10x16")
        return cls(size, *map(int, counts))


def works_of(config: dict[str, Any], batch: Batch, mode: str, is_guided: bool) -> dict[Work, Callable[[], torch.Tensor]]:
    """Every way to draw a batch that driftgpu has, too. Modes have the same weights."""

    def work(encode_once: bool) -> Work:
        return Work("sample", batch.size, encode_once, is_guided, *batch[1:], images=batch.labels * batch.per_label)

    torch.manual_seed(1)
    kind = config["stage"]["kind"], config["head"]["kind"]
    if kind in SAMPLES:
        sample = SAMPLES[kind](config, mode)
        labels = torch.arange(batch.labels)[:, None].repeat(1, batch.per_label) % config["data"]["classes"]
        return {work(True): lambda: sample(labels, CFG if is_guided else 1)}
    recipe, works = Recipe.from_config(config), {}
    for encode_once in (True, False):
        torch.manual_seed(1)
        works[work(encode_once)] = Sampling(recipe, encode_once, is_guided, *batch[1:], CPU, mode=mode)
    return works


class Numbers:
    """Standard normal numbers in one sequence, however many are drawn at a time, which `torch.randn` makes others of."""

    def __init__(self) -> None:
        self.numbers, self.taken = torch.randn(1 << 24), 0

    def __call__(self, *size: int | tuple[int, ...], device: object = None) -> torch.Tensor:
        size = torch.Size(size if isinstance(size[0], int) else size[0])
        first, self.taken = self.taken, self.taken + size.numel()
        return self.numbers[first : self.taken].view(size)


def drawn(work: Callable[[], torch.Tensor]) -> torch.Tensor:
    """With the same random numbers in every mode."""
    torch.manual_seed(2)
    with mock.patch.object(torch, "randn", Numbers()):
        return work()


def compare(options: argparse.Namespace) -> tuple[Report, bool]:
    """Also whether every mode draws what eager PyTorch draws."""
    driftgpu = Driftgpu(options.driftgpu, "cpu", options.threads, options.repetitions)
    stopwatch, others, are_same = Stopwatch(CPU, options.repetitions), OtherLoad(), True
    report = Report(
        {
            "peers": f"ONNX Runtime {onnxruntime.__version__}, graphs by onnx {onnx.__version__} and onnxscript {onnxscript.__version__}; "
            f"PyTorch {torch.__version__}",
            "threads": options.threads,
            "rounds": options.rounds,
            "repetitions": options.repetitions,
        },
        peer="peer",
    )
    for batch in options.size:
        config = driftgpu.config(batch.size)
        for is_guided in (False, True) if options.guided else (False,):
            right = works_of(config, batch, "eager", is_guided)
            works = {mode: right if mode == "eager" else works_of(config, batch, mode, is_guided) for mode in options.mode}
            for name, expected in ((name, drawn(work)) for name, work in right.items()):
                for mode in (mode for mode in options.mode if mode != "eager"):
                    difference = (drawn(works[mode][name]) - expected).abs().max().item()
                    largest = expected.abs().max().item()
                    is_same = difference <= TOLERANCE * largest
                    are_same = are_same and is_same
                    print(
                        f"{name.name}, {mode}: largest difference from eager PyTorch {difference:.1e}, largest value {largest:.2f}"
                        + ("" if is_same else ": NOT the same"),
                        flush=True,
                    )
            if options.warm_up:
                continue
            for work in (work for ways in works.values() for work in ways.values()):
                stopwatch.warm_up(work)

            def time_driftgpu() -> None:
                only = "guided" if is_guided else "plain"
                report.add_driftgpu(driftgpu.samples(batch.size, *batch[1:], "fp32", only), "fp32")

            def time_peers() -> None:
                for mode, ways in works.items():
                    for work, call in ways.items():
                        report.add_peer(work, Variant(mode, "fp32"), stopwatch(call))

            for number in alternating(options.rounds, [time_driftgpu, time_peers], others):
                print(f"{batch.size}: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            report.about |= {"driftgpu": driftgpu.about, "cores_used_by_others": others.cores}
            # A run takes long; what there is so far survives its end.
            if options.json:
                report.write(options.json)
    return report, are_same


def parse() -> argparse.Namespace:
    def batches(text: str) -> list[Batch]:
        return [Batch.parse(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), metavar="PATH")
    parser.add_argument(
        "--size", type=batches, default=SIZES, help="sizes of driftgpu bench, each with labels x images of each: %(default)s"
    )
    parser.add_argument("--mode", type=names((*OPSETS, "eager", "compiled")), default="onnx,onnx-attention,eager", help="also compiled; default: %(default)s")
    parser.add_argument("--threads", type=positive, default=2, help="of both programs")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--repetitions", type=positive, default=3, help="measurements of each work in a round")
    parser.add_argument("--guided", action="store_true", help="also with guidance")
    parser.add_argument("--graphs", type=Path, metavar="FOLDER", help="keep exported graphs here, and take those that are here")
    parser.add_argument("--warm-up", action="store_true", help="export and compare the drawings, and time nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep everything that was measured")
    return parser.parse_args()


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    try:
        if options.graphs:
            options.graphs.mkdir(parents=True, exist_ok=True)
            Exported.folder = options.graphs
        report, are_same = compare(options)
    except (DriftgpuError, OSError, ValueError, KeyError) as error:
        what = f"setting {error} is missing" if isinstance(error, KeyError) else error
        print(f"compare_onnx: {what}", file=sys.stderr)
        return 1
    if not options.warm_up:
        report.print(options.threads)
    return 0 if are_same else 1


if __name__ == "__main__":
    sys.exit(main())
