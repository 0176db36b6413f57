#!/usr/bin/env python3
"""Times a training step and sampling of causal autoregression in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_causal.py --driftgpu .build/release/driftgpu --size causal,causal-energy
    bench/compare_causal.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

from causal import Causal, Shape
from golden_causal import check
from rounds import CPU, Step, Works, run
from token_heads import drawing_schedule
from workloads import compiled


def works_of(config: dict[str, Any], mode: str) -> Works:
    shape, schedule, guidance = Shape.from_config(config), drawing_schedule(config["head"], CPU), config["stage"]["guidance"]
    # Another model than the one that learns: what a token takes is compiled, not the loop over tokens and steps.
    drawing = Causal(shape)
    drawing.advance = compiled(drawing.advance, mode)
    part = "step" if shape.head.kind == "flow" else "forward"
    setattr(drawing.net, part, compiled(getattr(drawing.net, part), mode))
    return Works(
        Step(Causal(shape), config, mode, lambda _: ()),
        lambda labels, cfg: drawing.sample(labels.flatten(), schedule, cfg, guidance),
    )


if __name__ == "__main__":
    run(__doc__, ["causal", "causal-energy"], check, works_of)
