"""MAR in PyTorch: the encoder of known tokens, the decoder, and its heads that draw single tokens.

Written from the paper's description and the names of its state_dict, for comparison with driftgpu: the same sizes, the same work.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drift_ar import AttentionBlock

# The number of a draw of noise and the positions that are drawn [B, M] -> noise [B M, values of a token's noise].
Noise = Callable[[int, Tensor], Tensor]


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
    head: str
    head_depth: int
    head_width: int
    noises: int
    noise_width: int = 64
    repulsion: float = 1
    limit: float = 5

    @property
    def hidden(self) -> int:
        return int(self.embed * self.mlp_ratio)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Shape":
        data, network, stage, head = config["data"], config["network"], config["stage"], config["head"]
        patch = data["patch"]
        return cls(
            tokens=(data["height"] // patch) * (data["width"] // patch),
            token_width=data["channels"] * patch * patch,
            embed=network["embed"],
            heads=network["heads"],
            encoder_depth=stage["encoderDepth"],
            decoder_depth=stage["decoderDepth"],
            buffer=stage["buffer"],
            classes=data["classes"],
            mlp_ratio=network["mlpRatio"],
            epsilon=network["layerNormEpsilon"],
            head=head["kind"],
            head_depth=head["depth"],
            head_width=head["width"],
            noises=head["noises"],
            repulsion=head.get("repulsion", 1),
            limit=head.get("limit", 0),
        )


class TokenBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_ln = nn.LayerNorm(width, 1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))

    def forward(self, x: Tensor, y: Tensor, temperature: float = 1) -> Tensor:
        shift, scale, gate = self.adaLN_modulation(y).chunk(3, -1)
        if temperature != 1:
            shift = temperature * shift
        return x + gate * self.mlp(self.in_ln(x) * (1 + scale) + shift)


class FinalLayer(nn.Module):
    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(width, 1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, outputs)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(y).chunk(2, -1)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


def sinusoid(times: Tensor) -> Tensor:
    """[n] -> [n, 256], cosines first."""
    angles = times.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(128, device=times.device) / 128)
    return torch.cat([angles.cos(), angles.sin()], -1)


class TimeEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, times: Tensor) -> Tensor:
        return self.mlp(sinusoid(times))


class Schedule:
    """A cosine schedule of 1000 steps, of which `steps` are kept, as tables of float32."""

    def __init__(self, steps: int, device: torch.device) -> None:
        def bar(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        full, product = [], 1.0
        for i in range(1000):
            product *= 1 - min(1 - bar((i + 1) / 1000) / bar(i / 1000), 0.999)
            full.append(product)
        kept = [round(i * 999 / (steps - 1)) for i in range(steps)]
        bars = torch.tensor([full[i] for i in kept], dtype=torch.float64)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bars[:-1]])
        betas = 1 - bars / before
        variance = betas * (1 - before) / (1 - bars)
        variance = torch.cat([variance[1:2], variance[1:]])
        tables = {
            "bars": bars, "root": bars.sqrt(), "rest": (1 - bars).sqrt(), "inverse": (1 / bars).sqrt(),
            "inverse_rest": (1 / bars - 1).sqrt(), "least": variance.log(), "most": betas.log(),
            "c1": betas * before.sqrt() / (1 - bars), "c2": (1 - before) * (1 - betas).sqrt() / (1 - bars),
        }  # fmt: skip
        self.tables = {name: table.float().to(device) for name, table in tables.items()}
        self.times = torch.tensor(kept, device=device)

    def at(self, name: str, index: Tensor | int) -> Tensor:
        value = self.tables[name][index]
        return value[:, None] if value.ndim else value


class DiffusionNet(nn.Module):
    """MAR's head: noisy tokens, times and conditions -> noise and the number of the variance [n, 2 C]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.head_width
        self.limit = shape.limit
        self.time_embed = TimeEmbed(width)
        self.cond_embed = nn.Linear(shape.embed, width)
        self.input_proj = nn.Linear(shape.token_width, width)
        self.res_blocks = nn.ModuleList(TokenBlock(width) for _ in range(shape.head_depth))
        self.final_layer = FinalLayer(width, 2 * shape.token_width)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """`time` and `condition` are embedded already."""
        x, y = self.input_proj(x), time + condition
        for block in self.res_blocks:
            x = block(x, y)
        return self.final_layer(x, y)

    def loss(self, z: Tensor, target: Tensor, schedule: Schedule) -> Tensor:
        time = torch.randint(0, 1000, (len(z),), device=z.device)
        _, error, bound = self.terms(z, target, time, torch.randn_like(target), schedule)
        return (error + bound).mean()

    def terms(self, z: Tensor, target: Tensor, time: Tensor, noise: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy tokens [n, C], and of each row the squared error [n] and the variational bound in bits [n]."""
        x = schedule.at("root", time) * target + schedule.at("rest", time) * noise
        output, v = self(x, self.time_embed(time), self.cond_embed(z)).chunk(2, -1)
        error = (noise - output).square().mean(-1)
        least, most = schedule.at("least", time), schedule.at("most", time)
        log_variance = (v + 1) / 2 * (most - least) + least
        guess = schedule.at("inverse", time) * x - schedule.at("inverse_rest", time) * output.detach()
        difference = schedule.at("c1", time) * (target - guess)
        bound = 0.5 * (log_variance - least - 1 + (least - log_variance).exp() + difference.square() * (-log_variance).exp())
        scaled = 1 / 255 / (log_variance / 2).exp()
        centre = (target - (schedule.at("c1", time) * guess + schedule.at("c2", time) * x)) / (log_variance / 2).exp()

        def below(u: Tensor) -> Tensor:
            return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))

        upper, lower = below(centre + scaled), below(centre - scaled)
        chance = torch.where(target < -0.999, upper, torch.where(target > 0.999, 1 - lower, upper - lower)).clamp(min=1e-12)
        bound = torch.where(time[:, None] == 0, -chance.log(), bound).mean(-1) / math.log(2)
        return x, error, bound

    def random(self, number: int, wanted: Tensor) -> Tensor:
        return torch.randn(wanted.numel(), self.input_proj.in_features, device=wanted.device)

    def draws(
        self, z: Tensor, wanted: Tensor, noise: Noise, schedule: Schedule, cfg: float | None = None, temperature: float = 1
    ) -> Iterator[Tensor]:
        """What there is after each step [n, C]. With guidance z has the conditional rows, then the others, for the same tokens."""
        condition, times = self.cond_embed(z), self.time_embed(schedule.times)
        x = noise(0, wanted)
        for j in range(len(schedule.times) - 1, -1, -1):
            output, v = self(x if cfg is None else x.repeat(2, 1), times[j], condition).chunk(2, -1)
            if cfg is not None:
                output, v = output[len(x) :] + cfg * (output[: len(x)] - output[len(x) :]), v[: len(x)]
            log_variance = (v + 1) / 2 * (schedule.at("most", j) - schedule.at("least", j)) + schedule.at("least", j)
            guess = schedule.at("inverse", j) * x - schedule.at("inverse_rest", j) * output
            if self.limit:
                guess = guess.clamp(-self.limit, self.limit)
            x = schedule.at("c1", j) * guess + schedule.at("c2", j) * x
            if j:
                x = x + temperature * (log_variance / 2).exp() * noise(len(schedule.times) - j, wanted)
            yield x


class EnergyNet(nn.Module):
    """EAR's head: conditions and noise -> tokens [n, C]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.head_width
        self.noises, self.repulsion = shape.noises, shape.repulsion
        self.noise_embed = nn.Linear(shape.noise_width, width)
        self.input_proj = nn.Linear(shape.embed, width)
        self.res_blocks = nn.ModuleList(TokenBlock(width) for _ in range(shape.head_depth))
        self.final_layer = FinalLayer(width, shape.token_width)

    def forward(self, z: Tensor, noise: Tensor, temperature: float = 1) -> Tensor:
        x, y = self.input_proj(z), self.noise_embed(noise)
        for block in self.res_blocks:
            x = block(x, y, temperature)
        return self.final_layer(x, y)

    def loss(self, z: Tensor, target: Tensor, schedule: Schedule) -> Tensor:
        noise = torch.rand(2 * len(z), self.noise_embed.in_features, device=z.device) - 0.5
        return self.terms(z, target, noise)[0].mean()

    def terms(self, z: Tensor, target: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The score of each row [n], its distances (to the target twice, between the samples), and the samples [2 n, C]."""
        samples = self(z.repeat(2, 1), noise)
        first, second = samples.chunk(2)
        one, two, between = (first - target).norm(dim=-1), (second - target).norm(dim=-1), (first - second).norm(dim=-1)
        return one + two - self.repulsion * between, one, two, between, samples

    def random(self, number: int, wanted: Tensor) -> Tensor:
        return torch.rand(wanted.numel(), self.noise_embed.in_features, device=wanted.device) - 0.5

    def draws(
        self, z: Tensor, wanted: Tensor, noise: Noise, schedule: Schedule, cfg: float | None = None, temperature: float = 1
    ) -> Iterator[Tensor]:
        """The tokens [n, C], in one step; guidance acts on z, which has the conditional rows, then the others."""
        if cfg is not None:
            half = len(z) // 2
            z = cfg * z[:half] + (1 - cfg) * z[half:]
        yield self(z, noise(0, wanted), temperature)


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


class MAR(nn.Module):
    # The reference decays nothing of its head.
    undecayed = ("diffloss.",)

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, positions = shape.embed, shape.buffer + shape.tokens

        def table(*size: int) -> nn.Parameter:
            return nn.Parameter(0.02 * torch.randn(*size))

        self.class_emb = nn.Embedding(shape.classes, width)
        self.fake_latent, self.mask_token = table(1, width), table(1, 1, width)
        self.encoder_pos_embed_learned, self.decoder_pos_embed_learned = table(1, positions, width), table(1, positions, width)
        self.diffusion_pos_embed_learned = table(1, shape.tokens, width)
        self.z_proj, self.z_proj_ln = nn.Linear(shape.token_width, width), nn.LayerNorm(width, shape.epsilon)
        self.encoder_blocks = nn.ModuleList(AttentionBlock(shape) for _ in range(shape.encoder_depth))
        self.encoder_norm = nn.LayerNorm(width, shape.epsilon)
        self.decoder_embed = nn.Linear(width, width)
        self.decoder_blocks = nn.ModuleList(AttentionBlock(shape) for _ in range(shape.decoder_depth))
        self.decoder_norm = nn.LayerNorm(width, shape.epsilon)
        name, net = ("diffloss", DiffusionNet(shape)) if shape.head == "diffusion" else ("scoreloss", EnergyNet(shape))
        self.head_name = name
        self.add_module(name, nn.ModuleDict({"net": net}))

    @property
    def net(self) -> DiffusionNet | EnergyNet:
        return getattr(self, self.head_name)["net"]

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
        return self.net.loss(z.repeat(self.shape.noises, 1), target.repeat(self.shape.noises, 1), schedule)

    @torch.inference_mode()
    def sample(self, labels: Tensor, rounds: int, schedule: Schedule, cfg: float = 1) -> Tensor:
        """Tokens [B, R, C], in so many rounds; guidance grows over them."""
        order = torch.rand(len(labels), self.shape.tokens, device=labels.device).argsort(1)
        *_, tokens = self.after_rounds(labels, order, Round.plan(self.shape.tokens, rounds, cfg, "linear"), schedule, self.net.random, cfg != 1)
        return tokens

    def after_rounds(
        self, labels: Tensor, order: Tensor, plan: Iterator[Round], schedule: Schedule, noise: Noise, is_guided: bool, temperature: float = 1
    ) -> Iterator[Tensor]:
        """What is known after each round [B, R, C], 0 elsewhere. An order's last positions are drawn first."""
        shape, count = self.shape, len(labels)
        tokens = torch.zeros(count, shape.tokens, shape.token_width, device=labels.device)
        embedding, halves = self.class_emb(labels), 2 if is_guided else 1
        if is_guided:
            embedding = torch.cat([embedding, self.fake_latent.expand(count, -1)])
        for step in plan:
            known, wanted = order[:, step.unknown :].sort(1).values, order[:, step.left : step.unknown].sort(1).values
            z = self.conditions(embedding, tokens.repeat(halves, 1, 1), known.repeat(halves, 1), wanted.repeat(halves, 1))
            cfg = step.cfg if is_guided else None
            *_, drawn = self.net.draws(z.flatten(0, 1), wanted, noise, schedule, cfg, temperature)
            tokens = tokens.scatter(1, wanted[..., None].expand(-1, -1, shape.token_width), drawn.view(count, wanted.shape[1], -1))
            yield tokens
