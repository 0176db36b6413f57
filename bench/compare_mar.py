#!/usr/bin/env python3
"""Times a training step and sampling of masked autoregression in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_mar.py --driftgpu .build/release/driftgpu --size mar,mar-energy
    bench/compare_mar.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

import torch
from torch import Tensor

from golden_mar import check
from mar import MAR, Shape
from rounds import CPU, Sample, Step, Works, run
from token_heads import Schedule, drawing_schedule
from workloads import compiled


def sample_of(config: dict[str, Any], mode: str) -> Sample:
    shape, schedule = Shape.from_config(config), drawing_schedule(config["head"], CPU)
    model, rounds = MAR(shape), config["stage"]["rounds"] or shape.tokens
    # A compiler would make a graph for each round, of which an exported one has the numbers of known and of wanted tokens as sizes.
    if mode.startswith("onnx"):
        model.conditions = compiled(model.conditions, mode, ((2, 1), (3, 1)))
        part = "step" if shape.head.kind == "diffusion" else "forward"
        setattr(model.net, part, compiled(getattr(model.net, part), mode))
    return lambda labels, cfg: model.sample(labels.flatten(), rounds, schedule, cfg)


def works_of(config: dict[str, Any], mode: str) -> Works:
    shape, stage = Shape.from_config(config), config["stage"]
    noising = Schedule(1000, CPU)

    def more(count: int) -> tuple[Tensor, int, Schedule]:
        """How many tokens are hidden changes from step to step, in the law of the settings."""
        rate = torch.empty(1)
        torch.nn.init.trunc_normal_(rate, 1, stage["maskDeviation"], stage["maskMinimum"], 1)
        masked = max(1, min(shape.tokens, int(torch.ceil(rate * shape.tokens))))
        return torch.rand(count, shape.tokens).argsort(1), masked, noising

    return Works(Step(MAR(shape), config, mode, more), sample_of(config, mode))


if __name__ == "__main__":
    run(__doc__, ["mar", "mar-energy"], check, works_of)
