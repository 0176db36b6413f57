"""What is measured: the settings of a run, as driftgpu prints them."""

import math
from dataclasses import dataclass
from typing import Any

from drift_ar import Shape

# For a driftgpu that cannot print its settings (`driftgpu bench step --size NAME --print-config`).
_DIGITS = {
    "channels": 1, "height": 8, "width": 8, "patch": 2, "classes": 10, "embed": 64, "heads": 4, "encoderDepth": 2,
    "decoderDepth": 3, "draftDepth": 2, "buffer": 4, "mlpRatio": 4, "layerNormEpsilon": 1e-6, "dropout": 0,
    "labelDrop": 0.1, "sigmaMax": 1, "sigmaTau": 2, "lastLayerDeviation": 0.1, "groups": "samples",
    "features": "pixels", "radii": [0.05, 0.2], "labelsPerStep": 0, "samplesPerLabel": 16, "positives": 64,
    "draftShift": 0, "learningRate": 1e-3, "beta1": 0.9, "beta2": 0.95, "adamEpsilon": 1e-8, "weightDecay": 0.02,
    "clip": 2, "ema": 0.995, "alpha0": 0.95,
}  # fmt: skip
BUILT_IN: dict[str, dict[str, Any]] = {
    "digits": _DIGITS,
    "small": _DIGITS | {
        "height": 16, "width": 16, "patch": 4, "embed": 256, "heads": 8, "decoderDepth": 4, "encoderDepth": 4,
        "labelsPerStep": 8, "samplesPerLabel": 8, "positives": 32,
    },
    "medium": _DIGITS | {
        "height": 32, "width": 32, "patch": 2, "embed": 384, "heads": 6, "decoderDepth": 6, "encoderDepth": 6,
        "buffer": 64, "labelsPerStep": 1, "samplesPerLabel": 2, "positives": 32,
    },
}  # fmt: skip


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
        """From the JSON of driftgpu's settings. ValueError for what is not written here, KeyError for what is missing."""
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
