#!/usr/bin/env python3
"""Times a training step and sampling of TransDiff in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_transdiff.py --driftgpu .build/release/driftgpu --one --mode eager,compiled
    bench/compare_transdiff.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

from golden_transdiff import check
from rounds import CPU, Step, Works, run
from transdiff import FallingSchedule, Shape, TransDiff
from workloads import compiled


def works_of(config: dict[str, Any], mode: str) -> Works:
    shape, schedule = Shape.from_config(config), FallingSchedule.of(config["head"], CPU)
    # Another model than the one that learns: the encoder and a step are compiled, not the loop over the steps.
    drawing = TransDiff(shape)
    drawing.encode = compiled(drawing.encode, mode)
    drawing.net.step = compiled(drawing.net.step, mode)
    return Works(
        Step(TransDiff(shape), config, mode, lambda _: (), are_shared=True),
        lambda labels, cfg: drawing.sample(labels[:, 0], labels.shape[1], schedule, cfg),
    )


if __name__ == "__main__":
    run(__doc__, ["transdiff"], check, works_of)
