"""MAR in PyTorch: the encoder of known tokens, and the decoder that says of the others what their head draws them from.

Written from the paper's description and the names of its state_dict, for comparison with driftgpu: the same sizes, the same work.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drift_ar import AttentionBlock
from token_heads import DrawingSchedule, HeadShape, Noise, Schedule, TokenModel


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    tokens: int
    embed: int
    heads: int
    encoder_depth: int
    decoder_depth: int
    buffer: int
    classes: int
    mlp_ratio: float
    epsilon: float
    head: HeadShape

    @property
    def hidden(self) -> int:
        return int(self.embed * self.mlp_ratio)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Shape":
        data, network, stage = config["data"], config["network"], config["stage"]
        if network["dropout"] != 0 or stage["guidance"] != "linear" or stage["order"] != "random":
            raise ValueError("dropout, other guidance than linear and orders by entropy are not compared")
        return cls(
            tokens=(data["height"] // data["patch"]) * (data["width"] // data["patch"]),
            embed=network["embed"],
            heads=network["heads"],
            encoder_depth=stage["encoderDepth"],
            decoder_depth=stage["decoderDepth"],
            buffer=stage["buffer"],
            classes=data["classes"],
            mlp_ratio=network["mlpRatio"],
            epsilon=network["layerNormEpsilon"],
            head=HeadShape.from_config(config),
        )


@dataclass(frozen=True)
class Round:
    """How many positions of an order are unknown before a round and after it, and how strong guidance is in it."""

    unknown: int
    left: int
    cfg: float

    @staticmethod
    def plan(tokens: int, rounds: int, cfg: float, schedule: str) -> Iterator["Round"]:
        unknown = tokens
        for k in range(rounds):
            aim = math.floor(tokens * math.cos(math.pi / 2 * (k + 1) / rounds))
            left = max(1, min(unknown - 1, aim)) if k < rounds - 1 else 0
            scale = 1 + (cfg - 1) * (tokens - max(1, left)) / tokens if schedule == "linear" else cfg
            yield Round(unknown, left, scale)
            unknown = left


def at(x: Tensor, positions: Tensor) -> Tensor:
    """x [B, R, C], positions [B, M] -> [B, M, C]."""
    return x.gather(1, positions[..., None].expand(-1, -1, x.shape[-1]))


class MAR(TokenModel):
    # The reference decays nothing of its head.
    undecayed = ("diffloss.",)

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape.head)
        self.shape = shape
        width, positions = shape.embed, shape.buffer + shape.tokens

        def table(*size: int) -> nn.Parameter:
            return nn.Parameter(0.02 * torch.randn(*size))

        self.class_emb = nn.Embedding(shape.classes, width)
        self.fake_latent, self.mask_token = table(1, width), table(1, 1, width)
        self.encoder_pos_embed_learned, self.decoder_pos_embed_learned = table(1, positions, width), table(1, positions, width)
        self.diffusion_pos_embed_learned = table(1, shape.tokens, width)
        self.z_proj, self.z_proj_ln = nn.Linear(shape.head.token_width, width), nn.LayerNorm(width, shape.epsilon)
        self.encoder_blocks = nn.ModuleList(AttentionBlock(shape) for _ in range(shape.encoder_depth))
        self.encoder_norm = nn.LayerNorm(width, shape.epsilon)
        self.decoder_embed = nn.Linear(width, width)
        self.decoder_blocks = nn.ModuleList(AttentionBlock(shape) for _ in range(shape.decoder_depth))
        self.decoder_norm = nn.LayerNorm(width, shape.epsilon)

    def embed(self, labels: Tensor, drop: Tensor) -> Tensor:
        return torch.where(drop[:, None], self.fake_latent, self.class_emb(labels))

    def encode(self, embedding: Tensor, tokens: Tensor, known: Tensor) -> Tensor:
        """Class embeddings [B, D], tokens [B, R, C], positions that are known [B, k] -> [B, buffer + k, D]."""
        buffer = self.shape.buffer
        x = embedding[:, None].expand(-1, buffer, -1) + self.encoder_pos_embed_learned[:, :buffer]
        if known.shape[1]:
            content = self.z_proj(at(tokens, known))
            x = torch.cat([x, content + self.encoder_pos_embed_learned[0, buffer:][known]], 1)
        x = self.z_proj_ln(x)
        for block in self.encoder_blocks:
            x = block(x)
        return self.encoder_norm(x)

    def decode(self, encoded: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        """What `encode` gave, positions that are known [B, k] and wanted [B, M] -> z [B, M, D]."""
        buffer, x = self.shape.buffer, self.decoder_embed(encoded)
        content = self.mask_token.expand(len(x), self.shape.tokens, -1)
        if known.shape[1]:
            content = content.scatter(1, known[..., None].expand(-1, -1, self.shape.embed), x[:, buffer:])
        x = torch.cat([x[:, :buffer], content], 1) + self.decoder_pos_embed_learned
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_norm(at(x[:, buffer:], wanted)) + self.diffusion_pos_embed_learned[0][wanted]

    def conditions(self, embedding: Tensor, tokens: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        return self.decode(self.encode(embedding, tokens, known), known, wanted)

    def rows(self, labels: Tensor, drop: Tensor, tokens: Tensor, order: Tensor, masked: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of the first `masked` positions of each order: z [n, D], the tokens there [n, C], and the positions [B, masked]."""
        wanted = order[:, :masked].sort(1).values
        z = self.conditions(self.embed(labels, drop), tokens, order[:, masked:].sort(1).values, wanted)
        return z.flatten(0, 1), at(tokens, wanted).flatten(0, 1), wanted

    def loss(self, labels: Tensor, drop: Tensor, tokens: Tensor, order: Tensor, masked: int, schedule: Schedule) -> Tensor:
        z, target, _ = self.rows(labels, drop, tokens, order, masked)
        return self.net.loss(z, target, schedule)

    @torch.inference_mode()
    def sample(self, labels: Tensor, rounds: int, schedule: DrawingSchedule, cfg: float = 1) -> Tensor:
        """Tokens [B, R, C], in so many rounds; guidance grows over them."""
        order = torch.rand(len(labels), self.shape.tokens, device=labels.device).argsort(1)
        *_, tokens = self.after_rounds(labels, order, Round.plan(self.shape.tokens, rounds, cfg, "linear"), schedule, self.net.random, cfg != 1)
        return tokens

    def after_rounds(
        self, labels: Tensor, order: Tensor, plan: Iterator[Round], schedule: DrawingSchedule, noise: Noise, is_guided: bool, temperature: float = 1
    ) -> Iterator[Tensor]:
        """What is known after each round [B, R, C], 0 elsewhere. An order's last positions are drawn first."""
        shape, count = self.shape, len(labels)
        tokens = torch.zeros(count, shape.tokens, shape.head.token_width, device=labels.device)
        embedding, halves = self.class_emb(labels), 2 if is_guided else 1
        if is_guided:
            embedding = torch.cat([embedding, self.fake_latent.expand(count, -1)])
        for step in plan:
            known, wanted = order[:, step.unknown :].sort(1).values, order[:, step.left : step.unknown].sort(1).values
            z = self.conditions(embedding, tokens.repeat(halves, 1, 1), known.repeat(halves, 1), wanted.repeat(halves, 1))
            cfg = step.cfg if is_guided else None
            *_, drawn = self.net.draws(z.flatten(0, 1), wanted, noise, schedule, cfg, temperature)
            tokens = tokens.scatter(1, wanted[..., None].expand(-1, -1, shape.head.token_width), drawn.view(count, wanted.shape[1], -1))
            yield tokens
