#!/usr/bin/env python3
"""Times a training step and sampling of TransDiff in PyTorch and in driftgpu, in alternating rounds of one run.

    bench/compare_transdiff.py --driftgpu .build/release/driftgpu --one --mode eager,compiled
    bench/compare_transdiff.py --check Tests/Fixtures/golden

bench/README.md says what is compared and how to read the table.
"""

from typing import Any

from golden_transdiff import check
from rounds import CPU, Sample, Step, Works, run
from transdiff import FallingSchedule, Shape, TransDiff
from workloads import compiled


def sample_of(config: dict[str, Any], mode: str) -> Sample:
    model, schedule = TransDiff(Shape.from_config(config)), FallingSchedule.of(config["head"], CPU)
    # The encoder and a step are compiled, not the loop over the steps, which an exported graph has.
    model.encode = compiled(model.encode, mode)
    if mode.startswith("onnx"):
        from exported import export_flow

        export_flow(model.net, schedule, mode)
    else:
        model.net.step = compiled(model.net.step, mode)
    return lambda labels, cfg: model.sample(labels[:, 0], labels.shape[1], schedule, cfg)


def works_of(config: dict[str, Any], mode: str) -> Works:
    step = Step(TransDiff(Shape.from_config(config)), config, mode, lambda _: (), are_shared=True)
    return Works(step, sample_of(config, mode))


if __name__ == "__main__":
    run(__doc__, ["transdiff"], check, works_of)
