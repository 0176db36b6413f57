#!/usr/bin/env python3
"""Times a training step and sampling of causal autoregression in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_causal.py --driftgpu .build/release/driftgpu --size causal,causal-energy
    bench/compare_causal.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

from torch import Tensor

from causal import Causal, Pair, Shape
from golden_causal import check
from rounds import CPU, Sample, Step, Works, run
from token_heads import drawing_schedule
from workloads import compiled


def sample_of(config: dict[str, Any], mode: str) -> Sample:
    shape, schedule, guidance = Shape.from_config(config), drawing_schedule(config["head"], CPU), config["stage"]["guidance"]
    # What a token takes is compiled, not the loop over tokens and steps.
    model = Causal(shape)
    if mode.startswith("onnx"):
        export_advance(model, mode)
    else:
        model.advance = compiled(model.advance, mode)
    part = "step" if shape.head.kind == "flow" else "forward"
    setattr(model.net, part, compiled(getattr(model.net, part), mode))
    return lambda labels, cfg: model.sample(labels.flatten(), schedule, cfg, guidance)


def export_advance(model: Causal, mode: str) -> None:
    """A cache is a list of blocks' keys and values, whose rows are more for each token."""
    shape = model.shape
    pass_over = compiled(model.grown, mode, tuple((3 + number, 2) for number in range(2 * shape.depth)))

    def advance(x: Tensor, token: int, caches: list[Pair]) -> Tensor:
        known = caches[0][0].shape[2] if caches else 0
        angles = model.angles[known : known + x.shape[1]]
        row, caches[:] = pass_over(x, (angles.cosines, angles.sines), list(caches))
        return row

    model.advance, model.caches = advance, lambda count: []


def works_of(config: dict[str, Any], mode: str) -> Works:
    return Works(Step(Causal(Shape.from_config(config)), config, mode, lambda _: ()), sample_of(config, mode))


if __name__ == "__main__":
    run(__doc__, ["causal", "causal-energy"], check, works_of)
