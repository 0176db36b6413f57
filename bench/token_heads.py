"""Heads that draw single tokens in PyTorch: MAR's diffusion, NextStep-1's flow, and EAR's, which is trained by the energy score.

Written from the papers' descriptions and the names of their state_dicts, for comparison with driftgpu. Where tokens are trained more
than once in a step their conditions z [m, D] repeat, whole tile after tile, as often as there are rows of noise.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The number of a draw of noise and the positions that are drawn [B, M] -> noise [B M, values of a token's noise].
Noise = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class HeadShape:
    """Sizes of a head."""

    kind: str
    token_width: int
    condition_width: int
    width: int
    depth: int
    noises: int = 1
    noise_width: int = 64
    repulsion: float = 1
    limit: float = 0

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HeadShape":
        head, data = config["head"], config["data"]
        if head["kind"] not in HEADS:
            raise ValueError(f"head {head['kind']}: only {', '.join(HEADS)} are compared")
        return cls(
            kind=head["kind"],
            token_width=data["channels"] * data["patch"] ** 2,
            condition_width=config["network"]["embed"],
            width=head["width"],
            depth=head["depth"],
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


def tiled(x: Tensor, rows: int) -> Tensor:
    """x [m, w] -> [rows, w], whole tile after tile."""
    return x if len(x) == rows else x.repeat(rows // len(x), 1)


def scanned(step: Callable[[Tensor, tuple[Tensor, ...]], Tensor], start: Tensor, rows: tuple[Tensor, ...]) -> Tensor:
    """What the last step gives, of which each takes what the one before it gave and its row of each tensor: a loop that can be exported."""
    # No public part of PyTorch, and nothing else needs it.
    from torch._higher_order_ops.scan import scan

    # A loop has to give something of each step, too.
    return scan(lambda x, row: (step(x, row), x.new_zeros(1)), start, rows)[0]


class TimedNet(nn.Module):
    """What heads of many steps have: noisy tokens, times and conditions -> `outputs` numbers a row."""

    def __init__(self, shape: HeadShape, outputs: int) -> None:
        super().__init__()
        self.noises = shape.noises
        self.time_embed = TimeEmbed(shape.width)
        self.cond_embed = nn.Linear(shape.condition_width, shape.width)
        self.input_proj = nn.Linear(shape.token_width, shape.width)
        self.res_blocks = nn.ModuleList(TokenBlock(shape.width) for _ in range(shape.depth))
        self.final_layer = FinalLayer(shape.width, outputs)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """`time` and `condition` are embedded already."""
        x, y = self.input_proj(x), time + condition
        for block in self.res_blocks:
            x = block(x, y)
        return self.final_layer(x, y)

    def random(self, number: int, wanted: Tensor) -> Tensor:
        return torch.randn(wanted.numel(), self.input_proj.in_features, device=wanted.device)

    def drawn(self, z: Tensor, start: Tensor, noise: Tensor, rows: tuple[Tensor, ...], cfg: Tensor | float | None = None) -> Tensor:
        """What `draws` gives last, from noise [steps, n, C] and `rows` of a schedule."""
        condition = self.cond_embed(z)
        return scanned(lambda x, row: self.step(x, row[0], condition, *row[1:], cfg), start, (*rows, noise))


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


class DiffusionNet(TimedNet):
    """MAR's head: the noise in a token and the number of the variance [n, 2 C]."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape, 2 * shape.token_width)
        self.limit = shape.limit

    def loss(self, z: Tensor, target: Tensor, schedule: Schedule) -> Tensor:
        target = target.repeat(self.noises, 1)
        time = torch.randint(0, 1000, (len(target),), device=z.device)
        _, error, bound = self.terms(z, target, time, torch.randn_like(target), schedule)
        return (error + bound).mean()

    def terms(self, z: Tensor, target: Tensor, time: Tensor, noise: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy tokens [n, C], and of each row the squared error [n] and the variational bound in bits [n]."""
        x = schedule.at("root", time) * target + schedule.at("rest", time) * noise
        output, v = self(x, self.time_embed(time), tiled(self.cond_embed(z), len(x))).chunk(2, -1)
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

    def draws(
        self, z: Tensor, wanted: Tensor, noise: Noise, schedule: Schedule, cfg: Tensor | float | None = None, temperature: float = 1
    ) -> Iterator[Tensor]:
        """What there is after each step [n, C]. With guidance z has the conditional rows, then the others, for the same tokens."""
        condition, last = self.cond_embed(z), len(schedule.times) - 1
        x = noise(0, wanted)
        for j, row in enumerate(zip(*self.rows(schedule), strict=True)):
            drawn = noise(j + 1, wanted) if j < last else None
            if drawn is not None and temperature != 1:
                drawn = temperature * drawn
            x = self.step(x, row[0], condition, *row[1:], drawn, cfg)
            yield x

    def rows(self, schedule: Schedule) -> tuple[Tensor, ...]:
        """Of each step, the first of which has the most noise, what `step` takes of time."""
        names = "least", "most", "inverse", "inverse_rest", "c1", "c2"
        return tuple(table.flip(0) for table in (self.time_embed(schedule.times), *(schedule.tables[name] for name in names)))

    def step(
        self, x: Tensor, time: Tensor, condition: Tensor, least: Tensor, most: Tensor, inverse: Tensor, inverse_rest: Tensor,
        c1: Tensor, c2: Tensor, noise: Tensor | None, cfg: Tensor | float | None,
    ) -> Tensor:  # fmt: skip
        """Towards the token that the noise in x leads to, and back by noise, of which the last step has none."""
        output, v = self(x if cfg is None else x.repeat(2, 1), time, condition).chunk(2, -1)
        if cfg is not None:
            output, v = output[len(x) :] + cfg * (output[: len(x)] - output[len(x) :]), v[: len(x)]
        guess = inverse * x - inverse_rest * output
        if self.limit:
            guess = guess.clamp(-self.limit, self.limit)
        centre = c1 * guess + c2 * x
        if noise is None:
            return centre
        log_variance = (v + 1) / 2 * (most - least) + least
        return centre + (log_variance / 2).exp() * noise


class FlowSchedule:
    """Steps from noise (time 0) to data (time 1), Euler-Maruyama: x += ((1 + t) v - x) dt + sqrt(2 (1 - t) dt) noise.

    `quiet` steps equally up to 0.96, then 0.04 along the velocity alone; `whole` steps equally up to 1, with noise in each. A shift
    above 1 gives more steps to the noisy end.
    """

    last_step = 0.04

    def __init__(self, ending: str, steps: int, shift: float, device: torch.device) -> None:
        whole = ending == "whole"
        spacing = 1 / steps if whole else (1 - self.last_step) / (steps - 1)
        times = [u / (shift - (shift - 1) * u) for u in (i * spacing for i in range(steps))]
        self.times = torch.tensor(times, device=device)
        # Of each step the factors of x, velocity and noise; a compiled step takes them as tensors.
        factors = []
        for t, following in zip(times, [*times[1:], 1]):
            dt = following - t
            factors.append((1 - dt, (1 + t) * dt, math.sqrt(2 * (1 - t) * dt)))
        if not whole:
            factors[-1] = (1, self.last_step, 0)
        self.is_noisy = [factor > 0 for _, _, factor in factors]
        self.factors = [row.unbind() for row in torch.tensor(factors, device=device)]


class FlowNet(TimedNet):
    """NextStep-1's head: the velocity of a token on its way from noise to data [n, C]. Times are of 0 ... 1."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape, shape.token_width)

    def loss(self, z: Tensor, target: Tensor, schedule: object = None) -> Tensor:
        target = target.repeat(self.noises, 1)
        return self.terms(z, target, torch.randn(len(target), device=z.device), torch.randn_like(target))[0].mean()

    def terms(self, z: Tensor, target: Tensor, normal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The squared error of each row [n], and its time [n], the sigmoid of a standard normal number."""
        time = normal.sigmoid()
        x = torch.lerp(noise, target, time[:, None])
        velocity = self(x, self.time_embed(time), tiled(self.cond_embed(z), len(x)))
        return (target - noise - velocity).square().mean(-1), time

    def draws(
        self, z: Tensor, wanted: Tensor, noise: Noise, schedule: FlowSchedule, cfg: Tensor | float | None = None, temperature: float = 1
    ) -> Iterator[Tensor]:
        """What there is after each step [n, C]. With guidance z has the conditional rows, then the others, for the same tokens."""
        condition, times = self.cond_embed(z), self.time_embed(schedule.times)
        x = noise(0, wanted)
        for j, time in enumerate(times):
            drawn = noise(j + 1, wanted) if schedule.is_noisy[j] else None
            if drawn is not None and temperature != 1:
                drawn = temperature * drawn
            x = self.step(x, time, condition, *schedule.factors[j], drawn, cfg)
            yield x

    def rows(self, schedule: FlowSchedule) -> tuple[Tensor, ...]:
        """Of each step what `step` takes of time."""
        return self.time_embed(schedule.times), *map(torch.stack, zip(*schedule.factors, strict=True))

    def step(
        self, x: Tensor, time: Tensor, condition: Tensor, a: Tensor, b: Tensor, c: Tensor, noise: Tensor | None, cfg: Tensor | float | None
    ) -> Tensor:
        """a x + b velocity + c noise."""
        velocity = self(x if cfg is None else x.repeat(2, 1), time, condition)
        if cfg is not None:
            own, other = velocity.chunk(2)
            velocity = other + cfg * (own - other)
        x = a * x + b * velocity
        return x if noise is None else x + c * noise


class EnergyNet(nn.Module):
    """EAR's head: conditions and noise -> tokens [n, C]."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.noises, self.repulsion = shape.noises, shape.repulsion
        self.noise_embed = nn.Linear(shape.noise_width, shape.width)
        self.input_proj = nn.Linear(shape.condition_width, shape.width)
        self.res_blocks = nn.ModuleList(TokenBlock(shape.width) for _ in range(shape.depth))
        self.final_layer = FinalLayer(shape.width, shape.token_width)

    def forward(self, z: Tensor, noise: Tensor, temperature: float = 1) -> Tensor:
        x, y = tiled(self.input_proj(z), len(noise)), self.noise_embed(noise)
        for block in self.res_blocks:
            x = block(x, y, temperature)
        return self.final_layer(x, y)

    def loss(self, z: Tensor, target: Tensor, schedule: object = None) -> Tensor:
        noise = torch.rand(2 * self.noises * len(z), self.noise_embed.in_features, device=z.device) - 0.5
        return self.terms(z, target.repeat(self.noises, 1), noise)[0].mean()

    def terms(self, z: Tensor, target: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The score of each row [n], its distances (to the target twice, between the samples), and the samples [2 n, C]."""
        samples = self(z, noise)
        first, second = samples.chunk(2)
        one, two, between = (first - target).norm(dim=-1), (second - target).norm(dim=-1), (first - second).norm(dim=-1)
        return one + two - self.repulsion * between, one, two, between, samples

    def random(self, number: int, wanted: Tensor) -> Tensor:
        return torch.rand(wanted.numel(), self.noise_embed.in_features, device=wanted.device) - 0.5

    def draws(
        self, z: Tensor, wanted: Tensor, noise: Noise, schedule: object = None, cfg: Tensor | float | None = None, temperature: float = 1
    ) -> Iterator[Tensor]:
        """The tokens [n, C], in one step; guidance acts on z, which has the conditional rows, then the others."""
        if cfg is not None:
            half = len(z) // 2
            z = cfg * z[:half] + (1 - cfg) * z[half:]
        yield self(z, noise(0, wanted), temperature)


TokenNet = DiffusionNet | FlowNet | EnergyNet
DrawingSchedule = Schedule | FlowSchedule | None
# By the heads' names in driftgpu: their names in state_dicts.
HEADS: dict[str, tuple[str, type[TokenNet]]] = {
    "diffusion": ("diffloss", DiffusionNet),
    "flow": ("image_head", FlowNet),
    "energy": ("scoreloss", EnergyNet),
}


def drawing_schedule(head: dict[str, Any], device: torch.device) -> DrawingSchedule:
    """The steps of a drawing, from the head's settings; None for a head of one step."""
    if head.get("sampler", "sde") != "sde":
        raise ValueError(f"head.sampler {head['sampler']}: only sde is drawn here")
    if head["kind"] == "diffusion":
        return Schedule(head["steps"], device)
    return FlowSchedule(head["ending"], head["steps"], head["shift"], device) if head["kind"] == "flow" else None


class TokenModel(nn.Module):
    """What stages with such a head have in common."""

    def __init__(self, head: HeadShape) -> None:
        super().__init__()
        self.head_name, net = HEADS[head.kind]
        self.add_module(self.head_name, nn.ModuleDict({"net": net(head)}))

    @property
    def net(self) -> TokenNet:
        return getattr(self, self.head_name)["net"]
