#!/usr/bin/env python3
"""Draws with the weights and the random numbers of runs of causal autoregression or of TransDiff in PyTorch, and compares with what
driftgpu draws.

    driftgpu train --preset digits-causal --steps 200 --output out/causal
    driftgpu train --preset digits-transdiff --steps 200 --output out/transdiff
    bench/same_drawings.py --driftgpu .build/release/driftgpu out/causal out/transdiff

The images are the same but for rounding, which each token hands on to those behind it, and each step to the next.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import causal
import transdiff
from driftgpu import Driftgpu, DriftgpuError
from recorded import patchify
from token_heads import drawing_schedule

LABELS, PER_LABEL, SEED = 5, 4, 5
CPU = torch.device("cpu")
TOLERANCE = 1e-3


class Numbers:
    """driftgpu's random numbers of images: Philox4x32-10 of (element, image, label, draw) under the seed."""

    def __init__(self, tokens: int, width: int) -> None:
        self.labels, self.images = np.repeat(np.arange(LABELS), PER_LABEL), np.tile(np.arange(PER_LABEL), LABELS)
        self.tokens, self.width = tokens, width

    def words(self, draw: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
        counter = np.broadcast_arrays(np.arange(self.tokens * width), self.images[:, None], self.labels[:, None], draw)
        a, b, c, d = (part.astype(np.uint64) for part in counter)
        for turn in range(10):
            keys = (np.uint64((key + turn * more) & 0xFFFFFFFF) for key, more in ((SEED, 0x9E3779B9), (0, 0xBB67AE85)))
            first, second, (low_key, high_key) = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57), keys
            a, b, c, d = (second >> half) ^ b ^ low_key, second & low, (first >> half) ^ d ^ high_key, first & low
        return a, b

    def normal(self, draw: int) -> Tensor:
        u, v = self.words(draw, self.width)
        radius = np.sqrt(-2 * np.log((u + 1.0) / 2**32))
        return self.tensor(radius * np.cos(2 * np.pi * v / 2**32))

    def uniform(self, draw: int, width: int) -> Tensor:
        return self.tensor((self.words(draw, width)[0] >> np.uint64(8)) / 2**24 - 0.5)

    def tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32).unflatten(1, (self.tokens, -1))


def draw_causal(config: dict[str, Any], weights: dict[str, Tensor], cfg: float) -> Tensor:
    """Tokens [B, R, C]."""
    shape = causal.Shape.from_config(config)
    model = causal.Causal(shape)
    model.load_state_dict(weights, strict=True)
    numbers, start, steps = Numbers(shape.tokens, shape.head.token_width), 0x2016_0000, 0x2017_0000
    is_energy = shape.head.kind == "energy"
    noise = [numbers.uniform(start, shape.head.noise_width) if is_energy else numbers.normal(start)]
    noise += [numbers.normal(steps + step) for step in range(config["head"].get("steps", 0))]
    model.net.random = lambda number, wanted: noise[number][:, int(wanted[0])]
    return model.sample(torch.tensor(numbers.labels), drawing_schedule(config["head"], CPU), cfg, config["stage"]["guidance"])


def draw_transdiff(config: dict[str, Any], weights: dict[str, Tensor], cfg: float) -> Tensor:
    """Tokens [B, R, C]."""
    shape = transdiff.Shape.from_config(config)
    model = transdiff.TransDiff(shape)
    model.load_state_dict(weights, strict=True)
    numbers, start, steps = Numbers(shape.tokens, shape.token_width), 0x2004_0000, 0x2020_0000
    model.random = lambda number, size: numbers.normal(steps + number - 1 if number else start).view(size)
    return model.sample(torch.arange(LABELS), PER_LABEL, transdiff.FallingSchedule.of(config["head"], CPU), cfg).flatten(0, 1)


DRAWINGS = {"causal": draw_causal, "label": draw_transdiff}


def difference(program: Driftgpu, run: Path, cfg: float) -> float:
    """The largest between the images of both programs, whose values are of -1 ... 1."""
    config = json.loads((run / "config.json").read_text())
    kind = config["stage"]["kind"]
    if kind not in DRAWINGS:
        raise ValueError(f"{run}: stage {kind}; only {', '.join(DRAWINGS)} are compared")
    with tempfile.TemporaryDirectory() as folder:
        weights, samples = program.drawings(run, LABELS, PER_LABEL, cfg, SEED, Path(folder))
        mine = DRAWINGS[kind](config, load_file(weights), cfg)
        theirs = patchify(torch.tensor(np.load(samples)), config["data"]["patch"])
    # Pixels beyond white and black are not written.
    return (mine.clamp(-1, 1) - theirs).abs().max().item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driftgpu", type=Path, default=Path(".build/release/driftgpu"), help="the program")
    parser.add_argument("run", type=Path, nargs="+", help="the folder of a run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    program, is_same = Driftgpu(options.driftgpu, "cpu", 1, 1), True
    for run in options.run:
        for cfg in (1, 2):
            largest = difference(program, run, cfg)
            is_same = is_same and largest <= TOLERANCE
            print(f"{run}, guidance {cfg}: the largest difference of pixels is {largest:.1e}, allowed is {TOLERANCE:.0e}")
    print("the same drawings" if is_same else "NOT the same drawings")
    return 0 if is_same else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DriftgpuError, OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {error}")
