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
from mar import MAR, Round, Shape
from rounds import CPU, Sample, Step, Works, run
from token_heads import DrawingSchedule, Schedule, drawing_schedule


def sample_of(config: dict[str, Any], mode: str) -> Sample:
    shape, schedule = Shape.from_config(config), drawing_schedule(config["head"], CPU)
    model, rounds = MAR(shape), config["stage"]["rounds"] or shape.tokens
    if mode.startswith("onnx"):
        return exported_sample(model, rounds, schedule, mode)
    # Nothing is compiled: it would be for each round.
    return lambda labels, cfg: model.sample(labels.flatten(), rounds, schedule, cfg)


def exported_sample(model: MAR, rounds: int, schedule: DrawingSchedule, mode: str) -> Sample:
    """All rounds in one graph."""
    from exported import Exported, loop_within, noise_of

    tokens = model.shape.tokens
    loop_within(model, schedule)

    def drawn(labels: Tensor, order: Tensor, noise: list[Tensor], cfg: int) -> Tensor:
        taken, plan = iter(noise), Round.plan(tokens, rounds, cfg, "linear")
        *_, last = model.after_rounds(labels, order, plan, schedule, lambda *_: next(taken), cfg != 1)
        return last

    graph = Exported(model, drawn, mode)

    def sample(labels: Tensor, cfg: int) -> Tensor:
        labels = labels.flatten()
        order = torch.rand(len(labels), tokens).argsort(1)
        counts = (step.unknown - step.left for step in Round.plan(tokens, rounds, cfg, "linear"))
        noise = [more for count in counts for more in noise_of(model, schedule, order[:, :count])]
        return graph(labels, order, noise, cfg)

    return sample


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
