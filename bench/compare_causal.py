#!/usr/bin/env python3
"""Times a training step and sampling of causal autoregression in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_causal.py --driftgpu .build/release/driftgpu --size causal,causal-energy
    bench/compare_causal.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

import torch
from torch import Tensor

from causal import Causal, GrowingCache, Shape, strengths
from golden_causal import check
from rounds import CPU, Sample, Step, Works, run
from token_heads import DrawingSchedule, drawing_schedule
from workloads import compiled


def sample_of(config: dict[str, Any], mode: str) -> Sample:
    shape, schedule, guidance = Shape.from_config(config), drawing_schedule(config["head"], CPU), config["stage"]["guidance"]
    model = Causal(shape)
    if mode.startswith("onnx"):
        return exported_sample(model, schedule, guidance, mode)
    # What a token takes is compiled, not the loop over tokens and steps.
    model.advance = compiled(model.advance, mode)
    part = "step" if shape.head.kind == "flow" else "forward"
    setattr(model.net, part, compiled(getattr(model.net, part), mode))
    return lambda labels, cfg: model.sample(labels.flatten(), schedule, cfg, guidance)


def exported_sample(model: Causal, schedule: DrawingSchedule, guidance: str, mode: str) -> Sample:
    """All tokens in one graph, which keeps keys and values to itself."""
    from exported import Exported, loop_within, noise_of

    tokens, classes = model.shape.tokens, model.shape.classes
    model.caches = lambda count: [GrowingCache() for _ in model.layers]
    loop_within(model, schedule)

    def drawn(labels: Tensor, noise: list[Tensor], strength: Tensor | None) -> Tensor:
        taken = iter(noise)
        return torch.stack(list(model.drawn(model.front(labels), schedule, lambda *_: next(taken), strength)), 1)

    graph = Exported(model, drawn, mode)

    def sample(labels: Tensor, cfg: float) -> Tensor:
        wanted = labels.flatten()
        without = wanted.new_full((0 if cfg == 1 else len(wanted),), classes)
        noise = [more for _ in range(tokens) for more in noise_of(model, schedule, wanted)]
        return graph(torch.cat([wanted, without]), noise, None if cfg == 1 else strengths(cfg, tokens, guidance))

    return sample


def works_of(config: dict[str, Any], mode: str) -> Works:
    return Works(Step(Causal(Shape.from_config(config)), config, mode, lambda _: ()), sample_of(config, mode))


if __name__ == "__main__":
    run(__doc__, ["causal", "causal-energy"], check, works_of)
