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
        if config["groups"] != "samples" or config["features"] != "pixels":
            raise ValueError("only groups 'samples' with features 'pixels' are compared")
        if config["dropout"] != 0:
            raise ValueError(f"dropout {config['dropout']}: only steps without dropout are compared")
        patch = config["patch"]
        shape = Shape(
            tokens=(config["height"] // patch) * (config["width"] // patch),
            token_width=config["channels"] * patch * patch,
            embed=config["embed"],
            heads=config["heads"],
            encoder_depth=config["encoderDepth"],
            decoder_depth=config["decoderDepth"],
            draft_depth=config["draftDepth"],
            buffer=config["buffer"],
            classes=config["classes"],
            mlp_ratio=config["mlpRatio"],
            epsilon=config["layerNormEpsilon"],
            sigma_max=config["sigmaMax"],
            sigma_tau=config["sigmaTau"],
            last_layer_deviation=config["lastLayerDeviation"],
        )
        return cls(
            shape=shape,
            channels=config["channels"],
            height=config["height"],
            width=config["width"],
            patch=patch,
            labels=config["labelsPerStep"] or config["classes"],
            samples=config["samplesPerLabel"],
            positives=config["positives"],
            radii=tuple(config["radii"]),
            label_drop=config["labelDrop"],
            draft_shift=config["draftShift"],
            learning_rate=config["learningRate"],
            betas=(config["beta1"], config["beta2"]),
            adam_epsilon=config["adamEpsilon"],
            weight_decay=config["weightDecay"],
            clip=config["clip"] or math.inf,
            ema=config["ema"],
            alpha=config["alpha0"],
        )
