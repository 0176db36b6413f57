"""Recorded results of the reference: a folder with index.json, index-NAME.json if there are more, and safetensors files.

Every result must lie within the tolerance of the index, |got - want| <= atol for each element.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass
class Case:
    """One case of the index with its tensors, and how near its results came to their tolerance."""

    entry: dict[str, Any]
    tensors: dict[str, Tensor]
    worst: float = 0
    compared: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.entry["id"]

    @property
    def config(self) -> dict[str, Any]:
        return self.entry.get("config", {})

    def has(self, role: str, name: str) -> bool:
        return f"{self.id}/{role}/{name}" in self.tensors

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        return self.tensors[f"{self.id}/{key[0]}/{key[1]}"]

    def role(self, role: str) -> dict[str, Tensor]:
        prefix = f"{self.id}/{role}/"
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}

    def compare(self, role: str, name: str, got: Tensor) -> None:
        self.judge(f"{role}/{name}", got, self[role, name], self.tolerance(role, name))

    def tolerance(self, role: str, name: str) -> float:
        about = next(t for t in self.entry["tensors"] if (t["role"], t["name"]) == (role, name))
        # Whole numbers have none: they are equal or wrong.
        return about.get("atol", 0)

    def compare_latents(self, tokens: Tensor, patch: int) -> None:
        """Tokens with the images that were made of the recorded ones."""
        self.judge("out/latents", tokens, patchify(self["out", "latents"], patch), self.tolerance("out", "latents"))

    def judge(self, name: str, got: Tensor, want: Tensor, tolerance: float) -> None:
        error = (got.detach().reshape(want.shape).to(want.device) - want).abs().max().item()
        self.compared += 1
        if not error <= tolerance:
            self.failures.append(f"{name} is off by {error:.2e}, allowed is {tolerance:.2e}")
        self.worst = max(self.worst, 0 if error == 0 else error / tolerance if tolerance and not math.isnan(error) else math.inf)


class Recorded:
    """The cases of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Other indices add to the first, as DRIFTGPU_GOLDEN has it.
        indices = [folder / "index.json", *sorted(folder.glob("index-*.json"))]
        self.entries = [entry for index in indices for entry in json.loads(index.read_text())["cases"]]
        self._files: dict[str, dict[str, Tensor]] = {}

    def cases(self, family: str, wanted: Callable[[Case], bool] = lambda case: True) -> Iterator[Case]:
        """The cases whose id begins with `family` and a slash or is it."""
        for entry in self.entries:
            if entry["id"].split("/")[0] == family:
                file = entry["file"]
                if file not in self._files:
                    self._files[file] = load_file(self.folder / file)
                case = Case(entry, self._files[file])
                if wanted(case):
                    yield case

    def case(self, id: str) -> Case:
        for case in self.cases(id.split("/")[0], lambda case: case.id == id):
            return case
        raise ValueError(f"{self.folder}: no case {id} in the index")


class GoldenModel:
    """What comparisons of a model with a folder have in common."""

    def __init__(self, folder: Path, device: torch.device, mode: str) -> None:
        self.recorded, self.device, self.mode = Recorded(folder), device, mode

    def loaded(self, module: nn.Module, case: Case, more: dict[str, Tensor] | None = None) -> Any:
        # Strict: a parameter too many, too few, or of another shape is an error.
        module.load_state_dict(case.role("param") | (more or {}), strict=True)
        return module.to(self.device)

    def inputs(self, case: Case, *names: str) -> list[Tensor]:
        """Whole numbers are indices here."""
        found = [case["in", name].to(self.device) for name in names]
        return [value.long() if value.dtype == torch.int32 else value for value in found]

    def parent(self, case: Case) -> Case:
        """The case that holds the parameters of this one."""
        source = case.entry["params_from"]
        return self.recorded.case(source if isinstance(source, str) else source["case"])

    def compare_gradients(
        self, case: Case, module: nn.Module, inputs: dict[str, Tensor] | None = None, more: dict[str, Tensor] | None = None
    ) -> None:
        """Of parameters, of inputs, and `more` that were taken from elsewhere."""
        gradients = {name: p.grad for name, p in module.named_parameters()} | {k: x.grad for k, x in (inputs or {}).items()} | (more or {})
        for name in case.role("grad"):
            gradient = gradients.get(name)
            if gradient is None:
                case.failures.append(f"{name} has no gradient")
            else:
                case.compare("grad", name, gradient)
        for name in case.entry.get("grad_zero", []) + case.entry.get("grad_none", []):
            if gradients[name] is not None and gradients[name].any():
                case.failures.append(f"{name} has a gradient, the reference has none")

    def finish(self, case: Case, y: Tensor, loss: Tensor, net: nn.Module, inputs: dict[str, Tensor]) -> None:
        loss.backward()
        case.compare("out", "y", y)
        case.compare("out", "loss", loss)
        self.compare_gradients(case, net, inputs)


def patchify(images: Tensor, patch: int) -> Tensor:
    """[B, C, h, w] -> [B, R, C p p], the channel slowest, as MAR has it."""
    x = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))
    return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def judged(title: str, families: dict[str, Iterator[Case]]) -> bool:
    """Prints a line for each case; true when every result lies within its tolerance."""
    print(title)
    is_right = True
    for name, family in families.items():
        count = 0
        for count, case in enumerate(family, 1):
            is_right = is_right and case.compared > 0 and not case.failures
            print(f"  {case.id}: {case.compared} results, the worst at {case.worst:.2f} of its tolerance")
            for failure in case.failures:
                print(f"    {failure}")
        if count == 0:
            print(f"  {name}: no case in the index")
            is_right = False
    print("the same model" if is_right else "NOT the same model")
    return is_right
