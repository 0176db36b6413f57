#!/usr/bin/env python3
"""Times a training step and sampling of causal autoregression in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_causal.py --driftgpu .build/release/driftgpu --size causal,causal-energy
    bench/compare_causal.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

from torch import Tensor

from causal import Causal, Shape
from golden_causal import check
from rounds import CPU, Step, Works, run
from token_heads import drawing_schedule


def works_of(config: dict[str, Any], labels: Tensor, mode: str) -> Works:
    model, schedule, guidance = Causal(Shape.from_config(config)), drawing_schedule(config["head"], CPU), config["stage"]["guidance"]
    return (
        Step(model, config, mode, lambda _: ()),
        lambda: model.sample(labels, schedule),
        lambda: model.sample(labels, schedule, 2, guidance),
    )


if __name__ == "__main__":
    run(__doc__, ["causal", "causal-energy"], check, works_of)
