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
from rounds import CPU, Step, Works, run
from token_heads import Schedule, drawing_schedule


def works_of(config: dict[str, Any], mode: str) -> Works:
    shape, stage = Shape.from_config(config), config["stage"]
    model, noising = MAR(shape), Schedule(1000, CPU)

    def more(count: int) -> tuple[Tensor, int, Schedule]:
        """How many tokens are hidden changes from step to step, in the law of the settings."""
        rate = torch.empty(1)
        torch.nn.init.trunc_normal_(rate, 1, stage["maskDeviation"], stage["maskMinimum"], 1)
        masked = max(1, min(shape.tokens, int(torch.ceil(rate * shape.tokens))))
        return torch.rand(count, shape.tokens).argsort(1), masked, noising

    rounds, schedule = stage["rounds"] or shape.tokens, drawing_schedule(config["head"], CPU)
    return Works(Step(model, config, mode, more), lambda labels, cfg: model.sample(labels.flatten(), rounds, schedule, cfg))


if __name__ == "__main__":
    run(__doc__, ["mar", "mar-energy"], check, works_of)
