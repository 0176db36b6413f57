"""Causal autoregression in PyTorch: each token of an image from those before it, with keys and values kept while sampling.

The blocks and names are NextStep-1's, the rows of the class in front are SphereAR's; written from the papers' descriptions and the
names of the state_dict, for comparison with driftgpu: the same sizes, the same work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drift_ar import join_heads, split_heads
from token_heads import DrawingSchedule, HeadShape, Noise, Schedule, TokenModel


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    tokens: int
    token_rows: int
    embed: int
    heads: int
    key_heads: int
    hidden: int
    depth: int
    class_tokens: int
    classes: int
    epsilon: float
    head: HeadShape
    rotary: str = "grid"
    rotary_base: float = 1e4
    positions: str = "learned"
    token_norm: str = "none"

    @property
    def columns(self) -> int:
        return self.tokens // self.token_rows

    @property
    def capacity(self) -> int:
        """Rows of a sequence: the last token enters none."""
        return self.class_tokens + self.tokens - 1

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Shape":
        data, network, stage = config["data"], config["network"], config["stage"]
        if network["dropout"] != 0 or stage["draftDepth"] != 0 or stage["parallel"] != 1:
            raise ValueError("dropout, drafts and several tokens a pass are not compared")
        rows, columns = data["height"] // data["patch"], data["width"] // data["patch"]
        return cls(
            tokens=rows * columns,
            token_rows=rows,
            embed=network["embed"],
            heads=network["heads"],
            key_heads=stage["keyHeads"] or network["heads"],
            hidden=int(network["embed"] * network["mlpRatio"]),
            depth=stage["depth"],
            class_tokens=stage["classTokens"],
            classes=data["classes"],
            epsilon=network["layerNormEpsilon"],
            head=HeadShape.from_config(config),
            rotary=stage["rotary"],
            rotary_base=stage["rotaryBase"],
            positions=stage["headPositions"],
            token_norm=stage["tokenNorm"],
        )


@dataclass(frozen=True)
class Angles:
    """Of each position the cosines and sines by which a head's columns turn [N, D / H], each half of the columns the same."""

    cosines: Tensor
    # The first half is negative: turned(x) = x cosines + (x with its halves exchanged) sines.
    sines: Tensor

    @classmethod
    def of(cls, places: Tensor, size: int, base: float) -> "Angles":
        """Places [N, 1] in a line, or rows and columns [N, 2], of which each turns its share of the pairs."""
        parts = places.shape[1]
        share = (size // 2 + parts - 1) // parts
        slowness = base ** -(torch.arange(share, dtype=torch.float64) / share)
        angles = (places.double()[..., None] * slowness).flatten(1)[:, : size // 2]
        sines = angles.sin()
        return cls(angles.cos().repeat(1, 2).float(), torch.cat([-sines, sines], 1).float())

    def turned(self, x: Tensor) -> Tensor:
        """x [B, H, N, D / H], by halves."""
        return torch.addcmul(x * self.cosines, x.roll(x.shape[-1] // 2, -1), self.sines)

    def __getitem__(self, rows: slice) -> "Angles":
        return Angles(self.cosines[rows], self.sines[rows])


@dataclass(frozen=True)
class Cache:
    """Keys, turned already, and values [B, H_kv, capacity, D / H] of a block."""

    keys: Tensor
    values: Tensor

    def extended(self, key: Tensor, value: Tensor, known: int) -> tuple[Tensor, Tensor]:
        """Stores new rows behind the `known` ones; all that there are."""
        end = known + key.shape[2]
        self.keys[:, :, known:end], self.values[:, :, known:end] = key, value
        return (self.keys[:, :, :end], self.values[:, :, :end]) if known else (key, value)


@dataclass
class GrowingCache:
    """The same as tensors of the rows that there are [B, H_kv, N, D / H], none at first: an exported graph stores nothing."""

    keys: Tensor | None = None
    values: Tensor | None = None

    def extended(self, key: Tensor, value: Tensor, known: int) -> tuple[Tensor, Tensor]:
        if known:
            key, value = torch.cat([self.keys, key], 2), torch.cat([self.values, value], 2)
        self.keys, self.values = key, value
        return key, value


class CausalAttention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.key_heads = shape.heads, shape.key_heads
        width = shape.embed // shape.heads * shape.key_heads
        self.q_proj = nn.Linear(shape.embed, shape.embed)
        self.k_proj, self.v_proj = nn.Linear(shape.embed, width), nn.Linear(shape.embed, width)
        self.o_proj = nn.Linear(shape.embed, shape.embed, bias=False)

    def projected(self, x: Tensor, angles: Angles) -> tuple[Tensor, Tensor, Tensor]:
        """Query [B, H, N, D / H], key and value [B, H_kv, N, D / H]."""
        query, key = split_heads(self.q_proj(x), self.heads), split_heads(self.k_proj(x), self.key_heads)
        return angles.turned(query), angles.turned(key), split_heads(self.v_proj(x), self.key_heads)

    def forward(self, x: Tensor, angles: Angles, cache: Cache | GrowingCache | None, known: int) -> Tensor:
        query, key, value = self.projected(x, angles)
        if cache is not None:
            key, value = cache.extended(key, value, known)
        # A single row behind others sees them all.
        attended = F.scaled_dot_product_attention(
            query, key, value, is_causal=known == 0, enable_gqa=self.key_heads < self.heads
        )
        return self.o_proj(join_heads(attended))


class GatedMLP(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(shape.embed, shape.hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(shape.hidden, shape.embed, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class CausalBlock(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.embed, shape.epsilon)
        self.self_attn = CausalAttention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.embed, shape.epsilon)
        self.mlp = GatedMLP(shape)

    def forward(self, x: Tensor, angles: Angles, cache: Cache | GrowingCache | None = None, known: int = 0) -> Tensor:
        """x [B, N, D]: whole sequences, or with a cache the rows behind the `known` ones in it: all at first, then one at a time."""
        x = x + self.self_attn(self.input_layernorm(x), angles, cache, known)
        return x + self.mlp(self.post_attention_layernorm(x))


def sines(rows: int, columns: int, width: int) -> Tensor:
    """[rows columns, width]: of a place's column, then of its row, width / 4 sines and as many cosines."""
    quarter = width // 4
    angles = torch.arange(max(rows, columns), dtype=torch.float64)[:, None] * 1e4 ** -(torch.arange(quarter) / quarter).double()
    of = torch.cat([angles.sin(), angles.cos()], 1).float()
    return torch.cat([of[:columns].repeat(rows, 1), of[:rows].repeat_interleave(columns, 0)], 1)


def strengths(cfg: float, tokens: int, schedule: str) -> Tensor:
    """How strong guidance is for each token: rising (SphereAR), falling (NextStep-1) or constant."""
    part = {"linear": torch.arange(tokens), "falling": torch.arange(tokens, 0, -1), "constant": torch.tensor(tokens).expand(tokens)}[schedule]
    return 1 + (cfg - 1) * part / tokens


class Causal(TokenModel):
    undecayed = ("cls_embedding.", "diffloss.")

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape.head)
        self.shape = shape
        width, size = shape.embed, shape.embed // shape.heads
        # The row behind those of the classes is that of no label.
        self.cls_embedding = nn.Embedding(shape.classes + 1, shape.class_tokens * width)
        nn.init.normal_(self.cls_embedding.weight, std=0.02)
        self.image_in_projector = nn.Linear(shape.head.token_width, width)
        self.layers = nn.ModuleList(CausalBlock(shape) for _ in range(shape.depth))
        self.norm = nn.RMSNorm(width, shape.epsilon)
        self.image_out_projector = nn.Linear(width, width)
        if shape.positions == "learned":
            self.pos_for_diff = nn.Parameter(0.02 * torch.randn(shape.tokens, width))
        if shape.positions == "sines":
            self.register_buffer("sines", sines(shape.token_rows, shape.columns, width), persistent=False)
        self.angles = Angles.of(self.places(), size, shape.rotary_base)

    def places(self) -> Tensor:
        """Where the rows of a sequence stand: in one line, or those of tokens on a grid from (1, 1) on, those in front at (0, 0)."""
        shape = self.shape
        if shape.rotary == "line":
            return torch.arange(shape.capacity)[:, None]
        token = torch.arange(shape.tokens - 1)
        grid = 1 + torch.stack([token // shape.columns, token % shape.columns], 1)
        return torch.cat([torch.zeros(shape.class_tokens, 2, dtype=grid.dtype), grid])

    def classes(self, labels: Tensor, drop: Tensor) -> Tensor:
        """Those of images of which some lose their label."""
        return torch.where(drop, self.shape.classes, labels)

    def front(self, classes: Tensor) -> Tensor:
        """The rows in front of the tokens [B, n, D]."""
        return self.cls_embedding(classes).unflatten(1, (self.shape.class_tokens, -1))

    def leave(self, rows: Tensor, tokens: slice) -> Tensor:
        """Rows of the last block [B, G, D] that speak of these tokens -> z [B, G, D]."""
        x = self.norm(rows)
        if self.shape.positions == "sines":
            x = x + self.sines[tokens]
        z = self.image_out_projector(x)
        return z + self.pos_for_diff[tokens] if self.shape.positions == "learned" else z

    def normed(self, tokens: Tensor) -> Tensor:
        """What becomes of tokens [..., C] before they are stored, fed back and decoded."""
        if self.shape.token_norm == "none":
            return tokens
        width = tokens.shape[-1:]
        return F.layer_norm(tokens, width, eps=1e-6) if self.shape.token_norm == "layer" else F.rms_norm(tokens, width, eps=1e-12)

    # MARK: Training

    def entered(self, front: Tensor, tokens: Tensor) -> Tensor:
        """The sequence [B, n + R - 1, D] of the rows in front and all tokens [B, R, C]."""
        return torch.cat([front, self.image_in_projector(tokens[:, :-1])], 1)

    def conditions(self, front: Tensor, tokens: Tensor) -> Tensor:
        """z [B, R, D] of each token from those before it."""
        x = self.entered(front, tokens)
        for block in self.layers:
            x = block(x, self.angles)
        return self.leave(x[:, self.shape.class_tokens - 1 :], slice(None))

    def loss(self, labels: Tensor, drop: Tensor, tokens: Tensor, schedule: Schedule | None = None) -> Tensor:
        tokens = self.normed(tokens)
        z = self.conditions(self.front(self.classes(labels, drop)), tokens)
        return self.net.loss(z.flatten(0, 1), tokens.flatten(0, 1), schedule)

    # MARK: Sampling

    def caches(self, count: int) -> list[Cache]:
        shape, device = self.shape, self.norm.weight.device
        size = (2, count, shape.key_heads, shape.capacity, shape.embed // shape.heads)
        return [Cache(*torch.empty(size, device=device)) for _ in self.layers]

    def advance(self, x: Tensor, token: int, caches: list[Cache] | list[GrowingCache]) -> Tensor:
        """The row [B, 1, D] of the last block that speaks of a token, from what is new before it: the rows in front, or one token's."""
        known = self.shape.class_tokens + token - 1 if token else 0
        angles = self.angles[known : known + x.shape[1]]
        for block, cache in zip(self.layers, caches):
            x = block(x, angles, cache, known)
        return x[:, -1:]

    @torch.inference_mode()
    def sample(self, labels: Tensor, schedule: DrawingSchedule, cfg: float = 1, guidance: str = "linear") -> Tensor:
        """Tokens [B, R, C]."""
        without = labels.new_full((0 if cfg == 1 else len(labels),), self.shape.classes)
        front = self.front(torch.cat([labels, without]))
        strength = None if cfg == 1 else strengths(cfg, self.shape.tokens, guidance).to(front.device)
        return torch.stack(list(self.drawn(front, schedule, self.net.random, strength)), 1)

    def drawn(
        self, front: Tensor, schedule: DrawingSchedule, noise: Noise, strength: Tensor | None = None, temperature: float = 1
    ) -> Iterator[Tensor]:
        """One token [B, C] after the other. With guidance, of a strength for each, the rows of no label [B, n, D] follow the others."""
        halves = 1 if strength is None else 2
        caches, x = self.caches(len(front)), front
        places = torch.arange(self.shape.tokens, device=front.device)[:, None, None].expand(-1, len(front) // halves, 1)
        for token in range(self.shape.tokens):
            z = self.leave(self.advance(x, token, caches), slice(token, token + 1))[:, 0]
            cfg = None if strength is None else strength[token]
            *_, drawn = self.net.draws(z, places[token], noise, schedule, cfg, temperature)
            drawn = self.normed(drawn)
            yield drawn
            x = self.image_in_projector(drawn).repeat(halves, 1)[:, None]
