"""Runs `driftgpu bench` and reads what it measured."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class DriftgpuError(Exception):
    """One line: what failed, and what driftgpu said."""


@dataclass(frozen=True)
class Work:
    """A piece of work that both programs do; by it their times are brought together."""

    kind: str
    size: str
    encode_once: bool
    is_guided: bool = False
    labels: int = 0
    per_label: int = 0
    images: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        parts = [f"{self.kind} {self.size}", "label once" if self.encode_once else "every image"]
        if self.kind == "sample":
            parts += ["guided" if self.is_guided else "plain", f"{self.labels} x {self.per_label}"]
        return ", ".join(parts)


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    median: float
    minimum: float


class Driftgpu:
    """The program at `path`, on a device and, on a CPU, with as many threads as PyTorch."""

    def __init__(
        self, path: Path, device: str, threads: int, repetitions: int, labels_per_step: int | None = None, batch: int | None = None
    ) -> None:
        self.path, self.device, self.repetitions = path, device, repetitions
        # PoCL's name for it up to version 4, and from 5 on.
        limits = {"POCL_MAX_PTHREAD_COUNT": str(threads), "POCL_CPU_MAX_CU_COUNT": str(threads)}
        self.environment = os.environ | (limits if device == "cpu" else {})
        options = {"--labels-per-step": labels_per_step, "--batch": batch}
        self.batch_options = [word for name, value in options.items() if value for word in (name, str(value))]
        self.about = ""

    def config(self, size: str) -> dict[str, Any]:
        return self._parse(
            self._run("bench", "step", "--size", size, "--print-config", *self.batch_options), "--print-config"
        )

    def steps(self, size: str, precision: str) -> dict[Work, Timing]:
        report = self._bench("step", size, precision, *self.batch_options)
        return {Work("step", size, entry["encodeOnce"]): self._timing(entry) for entry in report["step"]}

    def samples(self, size: str, labels: int, per_label: int, precision: str, only: str = "") -> dict[Work, Timing]:
        """Of those ways to draw whose names contain `only`."""
        report = self._bench("sample", size, precision, "--labels", str(labels), "--per-label", str(per_label), "--filter", only)
        return {
            Work("sample", size, entry["encodeOnce"], entry["isGuided"], entry["labels"], entry["perLabel"]):
                self._timing(entry)
            for entry in report["sample"]
            if not entry.get("isSpeculative")
        }  # fmt: skip

    def drawings(self, run: Path, labels: int, per_label: int, cfg: float, seed: int, folder: Path) -> tuple[Path, Path]:
        """The weights of a run, and what they draw of the first labels, as files in `folder`: safetensors and npy."""
        weights, samples = folder / "weights.safetensors", folder / "samples"
        self._run("export", "--checkpoint", str(run), "--output", str(weights), "--overwrite")
        self._run(
            "sample", "--checkpoint", str(run), "--labels", f"0-{labels - 1}", "--per-label", str(per_label), "--cfg", str(cfg),
            "--seed", str(seed), "--format", "npy", "--output", str(samples), "--device", self.device,
        )  # fmt: skip
        return weights, samples / "samples.npy"

    def _timing(self, entry: dict[str, Any]) -> Timing:
        return Timing(entry["timing"]["median"], entry["timing"]["minimum"])

    def _bench(self, kind: str, size: str, precision: str, *arguments: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.json"
            self._run(
                "bench", kind, "--size", size, "--json", str(file), "--repetitions", str(self.repetitions),
                "--device", self.device, "--precision", precision, *arguments,
            )  # fmt: skip
            report = self._parse(file.read_text() if file.exists() else "", f"bench {kind} --json")
        self.about = f"{report['device']}, driver {report['driver']}"
        return report

    def _run(self, *arguments: str) -> str:
        try:
            result = subprocess.run(
                [self.path, *arguments], capture_output=True, text=True, env=self.environment, check=False
            )
        except OSError as error:
            raise DriftgpuError(f"{self.path}: {error.strerror}; name the program with --driftgpu") from error
        if result.returncode != 0:
            said = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()[0]
            raise DriftgpuError(f"{self.path} {' '.join(arguments)}: exit {result.returncode}, said: {said}")
        return result.stdout

    def _parse(self, text: str, what: str) -> dict[str, Any]:
        try:
            return json.loads(text)
        except ValueError as error:
            raise DriftgpuError(f"{self.path} {what}: gave no JSON ({error})") from error
