"""TransDiff in PyTorch: an encoder from a label to z, and a flow from noise to the tokens of an image, whose velocity a decoder gives.

Written from the paper's description and the names of its state_dict, for comparison with driftgpu: the same sizes, the same work. As in
drift_ar.py the images of a label share what depends on the label alone: [L, G, R, ...] for images, [L, R, ...] for labels.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from drift_ar import CrossAttentionBlock, Keys, LabelEncoder
from token_heads import scanned, sinusoid

# The number of a draw of noise and the size that is wanted [L, G, R, C] -> standard normal numbers.
Noise = Callable[[int, tuple[int, ...]], Tensor]
# The network is told times in thousandths.
LEVELS = 1000


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    tokens: int
    token_width: int
    embed: int
    heads: int
    encoder_depth: int
    decoder_depth: int
    buffer: int
    classes: int
    mlp_ratio: float
    epsilon: float
    noises: int

    @property
    def hidden(self) -> int:
        return int(self.embed * self.mlp_ratio)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Shape":
        data, network, stage, head = config["data"], config["network"], config["stage"], config["head"]
        if (stage["kind"], head["kind"]) != ("label", "flow-decoder") or stage["entropy"]:
            raise ValueError(f"only TransDiff is compared, not {stage['kind']} x {head['kind']}, nor with the entropy")
        if network["dropout"] != 0 or not stage["encodeOnce"]:
            raise ValueError("dropout and encoding of every image are not compared")
        return cls(
            tokens=(data["height"] // data["patch"]) * (data["width"] // data["patch"]),
            token_width=data["channels"] * data["patch"] ** 2,
            embed=network["embed"],
            heads=network["heads"],
            encoder_depth=stage["encoderDepth"],
            decoder_depth=head["depth"],
            buffer=stage["buffer"],
            classes=data["classes"],
            mlp_ratio=network["mlpRatio"],
            epsilon=network["layerNormEpsilon"],
            noises=head["noises"],
        )


class FallingSchedule:
    """Steps from noise (time 1) to data (time 0), Euler-Maruyama: x += drift dt + sqrt(2 t |dt|) noise with drift (2 - t) v + x.

    Equal steps down to 0.04, in which the drift and the noise have a factor each; then one along the drift alone, without factor.
    """

    last_step = 0.04

    def __init__(self, steps: int, drift_scale: float, noise_scale: float, device: torch.device) -> None:
        dt = (1 - self.last_step) / (steps - 1)
        falling = [1 - i * dt for i in range(steps - 1)] + [self.last_step]
        self.times = torch.tensor([LEVELS * t for t in falling], device=device)
        # Of each step the factors of x, velocity and noise; a compiled step takes them as tensors.
        factors = [(1 - drift_scale * dt, -drift_scale * (2 - t) * dt, noise_scale * math.sqrt(2 * t * dt)) for t in falling]
        factors[-1] = (1 - self.last_step, -(2 - self.last_step) * self.last_step, 0)
        self.factors = [row.unbind() for row in torch.tensor(factors, device=device)]

    @classmethod
    def of(cls, head: dict[str, Any], device: torch.device) -> "FallingSchedule":
        """From the head's settings."""
        if head.get("sampler", "sde") != "sde":
            raise ValueError(f"head.sampler {head['sampler']}: only sde is drawn here")
        return cls(head["steps"], head["driftScale"], head["noiseScale"], device)


class Timing(NamedTuple):
    """What times [...] do to the decoder."""

    # Shifts, scales and gates of the blocks [..., blocks, 6, D], their tables included.
    blocks: Tensor
    # Shift and scale of the last layer [..., 2, D].
    final: Tensor


class TimeEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.time_embedder = nn.ModuleDict({"linear_1": nn.Linear(256, width), "linear_2": nn.Linear(width, width)})
        self.time_proj = nn.Linear(width, 6 * width)

    def forward(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """[n] -> the modulation [n, 6, D] and the embedded time [n, D]."""
        first = self.time_embedder["linear_1"](sinusoid(times))
        embedded = self.time_embedder["linear_2"](nn.functional.silu(first))
        return self.time_proj(nn.functional.silu(embedded)).unflatten(-1, (6, -1)), embedded


class FinalLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, shape.embed) / shape.embed**0.5)
        self.norm_final = nn.LayerNorm(shape.embed, shape.epsilon, elementwise_affine=False)
        self.linear = nn.Linear(shape.embed, shape.token_width)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        shift, scale = modulation[..., None, :].unbind(-3)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class FlowDecoder(nn.Module):
    """Tokens between data (time 0) and noise (time 1000) -> the velocity towards noise."""

    def __init__(self, shape: Shape, condition_width: int) -> None:
        super().__init__()
        self.diffusion_pos_embed_learned = nn.Parameter(0.02 * torch.randn(1, shape.tokens, shape.embed))
        self.time_embed = TimeEmbed(shape.embed)
        self.cond_embed = nn.Linear(condition_width, shape.embed)
        self.input_proj = nn.Linear(shape.token_width, shape.embed)
        self.res_blocks = nn.ModuleList(CrossAttentionBlock(shape) for _ in range(shape.decoder_depth))
        self.final_layer = FinalLayer(shape)

    def keys(self, z: Tensor) -> list[Keys]:
        """What the blocks attend to of z [L, M, D]."""
        context = self.cond_embed(z)
        return [block.attn2.keys(context) for block in self.res_blocks]

    def timing(self, times: Tensor) -> Timing:
        """Of times [...]."""
        modulation, embedded = (x.unflatten(0, times.shape) for x in self.time_embed(times.flatten()))
        tables = torch.cat([block.scale_shift_table for block in self.res_blocks])
        return Timing(modulation[..., None, :, :] + tables, embedded[..., None, :] + self.final_layer.scale_shift_table[0])

    def forward(self, x: Tensor, keys: list[Keys], timing: Timing) -> Tensor:
        """x [L, G, R, C] -> [L, G, R, C], at times [L, G] or at one of all."""
        return self.decode(self.enter(x), keys, timing)

    def enter(self, x: Tensor) -> Tensor:
        return self.input_proj(x) + self.diffusion_pos_embed_learned

    def decode(self, x: Tensor, keys: list[Keys], timing: Timing) -> Tensor:
        for block, known, modulation in zip(self.res_blocks, keys, timing.blocks.unbind(-3), strict=True):
            x = block.modulated(x, known, modulation)
        return self.final_layer(x, timing.final)

    # MARK: Training

    @staticmethod
    def times(normal: Tensor) -> Tensor:
        """Thousandths, from standard normal numbers."""
        return (LEVELS * normal.sigmoid()).floor()

    def errors(self, z: Tensor, target: Tensor, times: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Of images [L, G, R, C] the mean squared error of each velocity [L, G], and the noisy images: z [L, M, D], times [L, G]."""
        noisy = torch.lerp(target, noise, times[..., None, None] / LEVELS)
        velocity = self(noisy, self.keys(z), self.timing(times))
        return (noise - target - velocity).square().mean((-2, -1)), noisy

    # MARK: Drawing

    def draws(self, z: Tensor, schedule: FallingSchedule, size: tuple[int, ...], noise: Noise, cfg: float | None = None) -> Iterator[Tensor]:
        """What there is after each step: images of a `size` [L, G, R, C] from z [L, M, D]; guided, z of no label follow the others."""
        # None of it changes from step to step.
        keys, timing = self.keys(z), self.timing(schedule.times)
        x = noise(0, size)
        for j, row in enumerate(map(Timing, *timing)):
            x = self.step(x, keys, row, *schedule.factors[j], noise(j + 1, size), cfg)
            yield x

    def rows(self, schedule: FallingSchedule) -> tuple[Tensor, ...]:
        """Of each step what `step` takes of time."""
        return *self.timing(schedule.times), *map(torch.stack, zip(*schedule.factors, strict=True))

    def drawn(self, z: Tensor, start: Tensor, noise: Tensor, rows: tuple[Tensor, ...], cfg: float | None = None) -> Tensor:
        """What `draws` gives last, from noise [steps, L, G, R, C] and `rows` of a schedule."""
        keys = self.keys(z)
        return scanned(lambda x, row: self.step(x, keys, Timing(*row[:2]), *row[2:], cfg), start, (*rows, noise))

    def step(
        self, x: Tensor, keys: list[Keys], timing: Timing, a: Tensor, b: Tensor, c: Tensor, noise: Tensor, cfg: float | None
    ) -> Tensor:
        """a x + b velocity + c noise, which is 0 of the last: one step for all compiles once."""
        entered = self.enter(x)
        velocity = self.decode(entered if cfg is None else entered.repeat(2, 1, 1, 1), keys, timing)
        if cfg is not None:
            own, other = velocity.chunk(2)
            velocity = other + cfg * (own - other)
        return a * x + b * velocity + c * noise


class TransDiff(LabelEncoder):
    # The reference decays nothing of its decoder.
    undecayed = ("diffdecoder.",)

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.diffdecoder = nn.ModuleDict({"net": FlowDecoder(shape, shape.embed)})

    @property
    def net(self) -> FlowDecoder:
        return self.diffdecoder["net"]

    def encode(self, embedding: Tensor) -> Tensor:
        """[L, D] -> z [L, R, D]."""
        x = self.enter(embedding)
        for block in self.encoder_blocks:
            x = block(x)
        return self.leave(x)

    def loss(self, labels: Tensor, drop: Tensor, tokens: Tensor) -> Tensor:
        """labels, drop [L], tokens [L, G, R, C], of which each image is trained several times."""
        z = self.encode(self.embed(labels, drop))
        target = tokens.repeat_interleave(self.shape.noises, 1)
        times = self.net.times(torch.randn(target.shape[:2], device=z.device))
        return self.net.errors(z, target, times, torch.randn_like(target))[0].mean()

    def random(self, number: int, size: tuple[int, ...]) -> Tensor:
        return torch.randn(size, device=self.fake_latent.device)

    @torch.inference_mode()
    def sample(self, labels: Tensor, per_label: int, schedule: FallingSchedule, cfg: float = 1) -> Tensor:
        """Tokens [L, G, R, C]."""
        shape, embedding = self.shape, self.class_emb(labels)
        size = (len(labels), per_label, shape.tokens, shape.token_width)
        if cfg == 1:
            *_, drawn = self.net.draws(self.encode(embedding), schedule, size, self.random)
            return drawn
        # The unconditional image is one more label.
        z = self.encode(torch.cat([embedding, self.fake_latent]))
        z = torch.cat([z[:-1], z[-1:].expand(z[:-1].shape)])
        *_, drawn = self.net.draws(z, schedule, size, self.random, cfg)
        return drawn
