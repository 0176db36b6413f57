"""What is measured: the settings of a run, from the JSON that driftgpu prints, so that no size is written twice."""

import math
from dataclasses import dataclass
from typing import Any

from drift_ar import Shape

@dataclass(frozen=True)
class Recipe:
    """A model with the settings of its training step."""

    shape: Shape
    channels: int
    height: int
    width: int
    patch: int
    labels: int
    samples: int
    positives: int
    radii: tuple[float, ...]
    label_drop: float
    draft_shift: int
    learning_rate: float
    betas: tuple[float, float]
    adam_epsilon: float
    weight_decay: float
    clip: float
    ema: float
    alpha: float

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Recipe":
        """From driftgpu's settings. ValueError for what is not written here, KeyError for what is missing."""
        data, network, stage, head = config["data"], config["network"], config["stage"], config["head"]
        loss, optimizer, run = config["loss"], config["optimizer"], config["run"]
        if (stage["kind"], head["kind"]) != ("label", "decoder"):
            raise ValueError(f"only Drift-AR is compared, not {stage['kind']} x {head['kind']}")
        if loss["groups"] != "samples" or loss["features"] != "pixels":
            raise ValueError("only groups 'samples' with features 'pixels' are compared")
        if network["dropout"] != 0:
            raise ValueError(f"dropout {network['dropout']}: only steps without dropout are compared")
        patch = data["patch"]
        shape = Shape(
            tokens=(data["height"] // patch) * (data["width"] // patch),
            token_width=data["channels"] * patch * patch,
            embed=network["embed"],
            heads=network["heads"],
            encoder_depth=stage["encoderDepth"],
            decoder_depth=head["depth"],
            draft_depth=stage["draftDepth"],
            buffer=stage["buffer"],
            classes=data["classes"],
            mlp_ratio=network["mlpRatio"],
            epsilon=network["layerNormEpsilon"],
            sigma_max=head["sigmaMax"],
            sigma_tau=head["sigmaTau"],
            last_layer_deviation=head["lastLayerDeviation"],
        )
        return cls(
            shape=shape,
            channels=data["channels"],
            height=data["height"],
            width=data["width"],
            patch=patch,
            labels=run["labelsPerStep"] or data["classes"],
            samples=run["samplesPerLabel"],
            positives=loss["positives"],
            radii=tuple(loss["radii"]),
            label_drop=run["labelDrop"],
            draft_shift=stage["draftShift"],
            learning_rate=optimizer["learningRate"],
            betas=(optimizer["beta1"], optimizer["beta2"]),
            adam_epsilon=optimizer["adamEpsilon"],
            weight_decay=optimizer["weightDecay"],
            clip=optimizer["clip"] or math.inf,
            ema=optimizer["ema"],
            alpha=stage["alpha0"],
        )
