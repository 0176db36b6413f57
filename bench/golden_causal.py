"""Compares causal autoregression and the flow head with recorded results of NextStep-1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from causal import Angles, Causal, CausalBlock, Shape, sines, strengths
from recorded import Case, GoldenModel, judged, patchify
from token_heads import FlowSchedule, HeadShape
from workloads import compiled

# The guidance that NextStep-1 calls linear falls.
GUIDANCE = {"constant": "constant", "linear": "falling"}


def shape_of(config: dict[str, Any], sampling: dict[str, Any] | None = None) -> Shape:
    """A model in one line. What is asked of a sampling is in another case."""
    sampling = sampling or {}
    head = HeadShape(
        "flow", config["channels"], config["embed"], config["head_width"], config["head_depth"], noises=config["batch_mul"]
    )
    return Shape(
        # The tokens of a small image are within the first row of the reference's table of positions.
        tokens=config["seq_len"], token_rows=1, embed=config["embed"], heads=config["heads"], key_heads=config["kv_heads"],
        hidden=config["intermediate"], depth=config["layers"], class_tokens=config["class_tokens"], classes=config["B"] - 1,
        epsilon=config["rms_norm_eps"], head=head, rotary="line", rotary_base=config["rope_theta"],
        positions="sines" if sampling.get("use_gen_pos_embed") else "none", token_norm="layer" if sampling.get("use_norm") else "none",
    )  # fmt: skip


def schedule_of(config: dict[str, Any], device: torch.device, ending: str = "quiet") -> FlowSchedule:
    return FlowSchedule(ending, config["steps"], config["timesteps_shift"], device)


class GoldenCausal(GoldenModel):
    def model(self, parent: Case, sampling: dict[str, Any] | None = None) -> Causal:
        model = Causal(shape_of(parent.config, sampling))
        # The rows in front have no names there: the cases give them, a class for each image.
        rows = parent["in", "class_tokens"]
        return self.loaded(model, parent, {"cls_embedding.weight": rows.flatten(1)})

    # MARK: Network

    def blocks(self) -> Iterator[Case]:
        for case in self.recorded.cases("causal", lambda case: case.has("out", "attn")):
            config = case.config
            head = HeadShape("energy", 1, 1, 1, 0)
            shape = Shape(
                tokens=config["seq"], token_rows=1, embed=config["embed"], heads=config["heads"], key_heads=config["kv_heads"],
                hidden=config["intermediate"], depth=1, class_tokens=1, classes=1, epsilon=config["rms_norm_eps"], head=head,
            )  # fmt: skip
            block = self.loaded(CausalBlock(shape), case)
            x, weights = self.inputs(case, "x", "G")
            x.requires_grad_()
            angles = Angles.of(torch.arange(config["seq"])[:, None], config["head_dim"], config["rope_theta"])
            y = compiled(block, self.mode)(x, angles)
            self.finish(case, y, (y * weights).sum(), block, {"x": x})
            case.compare("out", "cos", angles.cosines)
            half = config["head_dim"] // 2
            case.compare("out", "sin", angles.sines * torch.cat([-torch.ones(half), torch.ones(half)]))
            query, key, _ = block.self_attn.projected(block.input_layernorm(x), angles)
            logits = query @ key.repeat_interleave(config["heads"] // config["kv_heads"], 1).transpose(-1, -2)
            hidden = torch.ones(config["seq"], config["seq"], dtype=torch.bool).triu(1)
            case.compare("out", "attn", (logits * config["head_dim"] ** -0.5).masked_fill(hidden, -torch.inf).softmax(-1))
            yield case

    def passes(self) -> Iterator[Case]:
        for case in self.recorded.cases("causal", lambda case: case.has("in", "normal")):
            model = self.model(case)
            tokens, normal, noise = self.inputs(case, "tokens", "normal", "noise")
            tokens.requires_grad_()
            # The rows of the last image are those of no label: it has lost its own, whichever it was.
            images = torch.arange(len(tokens), device=self.device)
            classes = model.classes(images % model.shape.classes, images == model.shape.classes)

            def run(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                z = model.conditions(model.front(classes), tokens)
                target = tokens.detach().flatten(0, 1).repeat(len(normal), 1)
                errors, time = model.net.terms(z.flatten(0, 1), target, normal.flatten(), noise.flatten(0, 2))
                return errors.mean(), time, z

            loss, time, z = compiled(run, self.mode)(tokens)
            loss.backward()
            for name, value in (("loss", loss), ("t", time), ("condition", z)):
                case.compare("out", name, value)
            rows = model.cls_embedding.weight
            self.compare_gradients(case, model, {"tokens": tokens}, {"class_tokens": rows.grad.view_as(case["in", "class_tokens"])})
            with torch.no_grad():
                x = model.entered(model.front(classes), tokens)
                for number, block in enumerate(model.layers, 1):
                    x = block(x, model.angles)
                    if case.has("out", f"hidden_{number}"):
                        case.compare("out", f"hidden_{number}", x)
                case.compare("out", "last_hidden", model.norm(x))
            yield case

    @torch.inference_mode()
    def cached(self) -> Iterator[Case]:
        for case in self.recorded.cases("causal", lambda case: case.has("out", "keys")):
            parent = self.parent(case)
            model = self.model(parent)
            (tokens,) = self.inputs(parent, "tokens")
            x, caches = model.front(torch.arange(len(tokens), device=self.device)), model.caches(len(tokens))
            rows = []
            for token in range(model.shape.tokens):
                rows.append(model.advance(x, token, caches))
                x = model.image_in_projector(tokens[:, token : token + 1])
            last = torch.cat(rows, 1)
            case.compare("out", "hidden", model.norm(last))
            case.compare("out", "condition", model.leave(last, slice(None)))
            case.compare("out", "keys", torch.stack([cache.keys for cache in caches]))
            case.compare("out", "values", torch.stack([cache.values for cache in caches]))
            yield case

    @torch.inference_mode()
    def kept(self) -> Iterator[Case]:
        """What the reference lacks: a grid, learned positions, tokens on a sphere, both heads. Kept rows against whole passes."""
        for head in (HeadShape("flow", 4, 32, 24, 2), HeadShape("energy", 4, 32, 24, 2)):
            case = Case({"id": f"kept rows, head {head.kind}"}, {})
            torch.manual_seed(1)
            shape = Shape(
                tokens=15, token_rows=3, embed=32, heads=4, key_heads=2, hidden=44, depth=3, class_tokens=2, classes=5, epsilon=1e-6,
                head=head, token_norm="sphere",
            )  # fmt: skip
            model = Causal(shape).to(self.device)
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            labels, schedule = torch.tensor([0, 3, 3], device=self.device), FlowSchedule("quiet", 5, 1, self.device)
            noise = torch.randn(6, 3, shape.tokens, head.noise_width if head.kind == "energy" else head.token_width)

            def of(number: int, wanted: Tensor) -> Tensor:
                return noise[number].to(self.device).gather(1, wanted[..., None].expand(-1, -1, noise.shape[-1])).flatten(0, 1)

            strength = strengths(3, shape.tokens, "linear").to(self.device)
            front = model.front(torch.cat([labels, torch.full_like(labels, shape.classes)]))
            tokens = torch.stack(list(model.drawn(front, schedule, of, strength)), 1)
            # Each token once more, from whole passes over those that were drawn.
            z = model.conditions(front, tokens.repeat(2, 1, 1))
            places = torch.arange(shape.tokens, device=self.device)[:, None, None].expand(-1, len(labels), 1)
            for token, wanted in enumerate(places):
                *_, drawn = model.net.draws(z[:, token], wanted, of, schedule, strength[token])
                case.judge(f"token {token}", tokens[:, token], model.normed(drawn), 1e-4)
            yield case

    def positions(self) -> Iterator[Case]:
        for case in self.recorded.cases("causal", lambda case: case.has("out", "table")):
            grid = case.config["grid"]
            case.compare("out", "table", sines(grid, grid, case.config["embed"])[: case.config["rows"]])
            yield case

    # MARK: Sampling

    @torch.inference_mode()
    def heads(self) -> Iterator[Case]:
        for case in self.recorded.cases("causal", lambda case: case.has("in", "c")):
            model = self.model(self.parent(case))
            # The reference's second sampler, which goes on to 1 with noise in every step.
            schedule = schedule_of(case.config, self.device, "whole" if case.id.endswith("head_new") else "quiet")
            case.compare("out", "times", schedule.times)
            z, first, later = self.inputs(case, "c", "noise_init", "noise_steps")
            noise, wanted = [first, *later], torch.arange(len(first))[:, None]
            cfg = case.config["cfg"] if len(z) > len(first) else None
            for step, x in enumerate(model.net.draws(z, wanted, lambda number, _: noise[number], schedule, cfg), 1):
                if case.has("out", f"x_after_{step}"):
                    case.compare("out", f"x_after_{step}", x)
            case.compare("out", "sample", x)
            yield case

    @torch.inference_mode()
    def drawings(self) -> Iterator[Case]:
        for case in self.recorded.cases("causal", lambda case: case.has("out", "latents")):
            parent, config = self.parent(case), case.config
            model = self.model(parent, config)
            first, later = self.inputs(case, "noise_init", "noise_steps")
            names = ("class_tokens",) if config["cfg"] == 1 else ("class_tokens", "null_tokens")
            front = torch.cat(self.inputs(case, *names))
            strength = strengths(config["cfg"], model.shape.tokens, GUIDANCE[config["cfg_schedule"]])
            case.compare("out", "cfg_iter", strength)

            def noise(number: int, wanted: Tensor) -> Tensor:
                token = int(wanted[0])
                return later[token, number - 1] if number else first[token]

            drawn = model.drawn(front, schedule_of(config, self.device), noise, None if config["cfg"] == 1 else strength.to(self.device))
            tokens = torch.stack(list(drawn), 1)
            case.compare("out", "tokens", tokens)
            case.compare_latents(tokens, parent.config["patch_size"])
            yield case


def check(folder: Path, device: torch.device, mode: str) -> bool:
    """Prints a line for each case; true when every result lies within its tolerance."""
    golden = GoldenCausal(folder, device, mode)
    families = (golden.blocks, golden.passes, golden.cached, golden.kept, golden.positions, golden.heads, golden.drawings)
    return judged(f"{folder}, {mode}: causal autoregression and the flow head", {family.__name__: family() for family in families})
