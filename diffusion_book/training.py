"""The one training loop: read it from top to bottom.

Every random thing of a step (which images, which times, which noise, which labels are dropped, dropout) is a function
of the seed and the number of images seen, so a run that was stopped goes on as if it never had been. See chapter 3.
"""

import copy
import hashlib
import json
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import torch
from accelerate import Accelerator

from diffusion_book import checkpoints
from diffusion_book.data.images import to_unit
from diffusion_book.denoiser import Denoiser
from diffusion_book.errors import BookError
from diffusion_book.hardware import autocast, describe
from diffusion_book.noise import mix, reseed
from diffusion_book.objectives import denoising_loss, spread
from diffusion_book.recipes import Recipe, encode

STATE_FORMAT = "diffusion-book state 1"


@dataclass
class Progress:
    """One line of the log. `saved` says that a checkpoint was written at this point."""

    images: int
    loss: float
    learning_rate: float
    seconds: float
    saved: bool = False


class Run:
    """A training run in a folder: log.jsonl, state.safetensors (to go on from) and model.safetensors (to sample with).

    data: uint8 images (N, C, H, H) or float32 points (N, D); labels: int64 (N,) or None. Iterate over it to train:
    each item is a `Progress`. `denoiser` holds the averaged weights at any moment.
    With overwrite=True a run that the folder holds is removed when the first line of the log is written.
    Raises BookError if the folder holds a run (unless resume or overwrite), if a checkpoint does not fit, or if the loss
    is not finite.
    """

    def __init__(
        self,
        recipe: Recipe,
        data,
        labels,
        folder: Path,
        seed=0,
        device=None,
        resume=False,
        overwrite=False,
        names=(),
        log_every=None,
        save_every=None,
    ):
        self.recipe, self.folder, self.seed, self.names = recipe, Path(folder), seed, tuple(names)
        self.log_every = log_every or max(recipe.images // 100, recipe.batch)
        self.save_every = save_every or max(recipe.images // 8, recipe.batch)
        if device is not None and torch.device(device).type == "cuda" and torch.device(device).index is not None:
            torch.cuda.set_device(device)
        # bf16 is ours to switch, below: accelerate fixes it for the whole process, and a notebook trains several recipes
        self.accelerator = Accelerator(mixed_precision="no", cpu=str(device) == "cpu")
        self.device = self.accelerator.device
        self.data = data.to(self.device)  # all of it, as one tensor: no loader, no workers
        self.labels = None if labels is None else labels.to(self.device)
        self.data_mark = hashlib.sha256(data.cpu().numpy().tobytes()).hexdigest()[:8]

        torch.manual_seed(seed)
        self.net = recipe.network().to(self.device)
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            self.net.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.denoiser = Denoiser(self.average, recipe.schedule, recipe.prediction, recipe.sigma_data)
        # listed once: it takes a while
        self._averages, self._weights = list(self.average.parameters()), list(self.net.parameters())
        optimizer = torch.optim.AdamW(
            self.net.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        # the compiled network shares its parameters with self.net, which is what gets saved
        trained = torch.compile(self.net) if on_gpu else self.net
        self.trained, self.optimizer = self.accelerator.prepare(trained, optimizer)
        self.seen, self.seconds = 0, 0.0
        self._replaces = overwrite and holds_run(self.folder)
        if holds_run(self.folder) and not (resume or overwrite):
            raise BookError(
                f"{self.folder} holds a training run already: go on with --resume, replace it with --overwrite"
            )
        if resume:
            self._restore()

    # ------------------------------------------------------------------ the loop

    def __iter__(self) -> Iterator[Progress]:
        recipe, rank, world = self.recipe, self.accelerator.process_index, self.accelerator.num_processes
        if recipe.batch % world:
            raise BookError(f"a batch of {recipe.batch} does not divide among {world} processes: choose a multiple")
        mine = slice(rank * recipe.batch // world, (rank + 1) * recipe.batch // world)
        model = Denoiser(self.trained, recipe.schedule, recipe.prediction, recipe.sigma_data)
        losses, clock = [], time.perf_counter()
        self.trained.train()
        while self.seen < recipe.images:
            # every process draws for the whole batch and keeps its share: one process or many, the same images, times
            # and noise (dropout alone differs)
            reseed(mix(self.seed, self.seen), self.device)
            x, cond = (None if part is None else part[mine] for part in self._batch())
            t = recipe.times(spread(torch.rand((), dtype=torch.float64), recipe.batch))[mine]
            eps = torch.randn(recipe.batch, *x.shape[1:], device=self.device)[mine]

            with autocast(self.device, recipe.bf16):
                loss = denoising_loss(model.given(cond), x, t, eps).mean()
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(self._weights, recipe.clip)
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(self.seen)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self._update_average()

            before, self.seen = self.seen, self.seen + recipe.batch
            losses.append(loss.detach())
            done = self.seen >= recipe.images
            save = done or before // self.save_every != self.seen // self.save_every
            if save or before // self.log_every != self.seen // self.log_every:
                now = time.perf_counter()
                self.seconds, clock = self.seconds + now - clock, now
                yield self._report(losses, save)
                losses, clock = [], time.perf_counter()
                self.trained.train()

    def _batch(self):
        """(x in [-1, 1], labels with some dropped to the null label) of the whole step."""
        recipe, n = self.recipe, len(self.data)
        index = torch.cat(
            [
                order(self.seed, epoch, n)[max(self.seen - epoch * n, 0) : self.seen + recipe.batch - epoch * n]
                for epoch in range(self.seen // n, (self.seen + recipe.batch - 1) // n + 1)
            ]
        ).to(self.device)
        x = self.data[index]
        if x.dtype == torch.uint8:
            x = to_unit(x)
        if recipe.flip:
            flip = torch.rand(len(x), device=self.device) < 0.5
            x = torch.where(flip[:, None, None, None], x.flip(-1), x)
        if self.device.type == "cuda" and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        if not recipe.net.classes:
            return x, None
        drop = torch.rand(len(x), device=self.device) < recipe.label_drop
        return x, self.labels[index].masked_fill(drop, recipe.net.classes)

    # ------------------------------------------------------------------ the log and the checkpoints

    def _report(self, losses, save) -> Progress:
        values = self.accelerator.reduce(torch.stack(losses), "mean")
        bad = (~values.isfinite()).nonzero().flatten()
        if len(bad):
            first = self.seen // self.recipe.batch - len(losses) + int(bad[0]) + 1
            raise BookError(
                f"the loss is not finite at step {first} ({first * self.recipe.batch:,} images): training stopped. "
                f"{self.folder / 'state.safetensors'} holds the last good state, if there was one; "
                "look at the data, or train anew with a lower learning rate"
            )
        row = Progress(
            self.seen, values.mean().item(), self.recipe.learning_rate_at(self.seen), round(self.seconds, 3), save
        )
        if self.accelerator.is_main_process:
            if self._replaces:
                remove_run(self.folder)
                self._replaces = False
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(asdict(row)) + "\n")
            if save:
                self._save()
        return row

    @torch.no_grad()
    def _update_average(self) -> None:
        """average += (1 - d)(net - average); it begins as a copy of the weights after the first update."""
        updates = self.seen // self.recipe.batch
        weight = averaging_weight(self.recipe.ema, updates) if updates else 1.0
        torch._foreach_lerp_(self._averages, self._weights, weight)

    def card(self) -> checkpoints.ModelCard:
        """What is known of the model so far."""
        return checkpoints.ModelCard(
            self.recipe,
            self.seed,
            self.seen,
            round(self.seconds, 1),
            describe(self.device, self.accelerator.num_processes),
            self.names,
        )

    def _save(self) -> None:
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        card = self.card()
        checkpoints.write(
            self.folder / "state.safetensors",
            tensors,
            {
                "format": STATE_FORMAT,
                "card": card.to_text(),
                "setting": self._setting(),
                "threads": str(torch.get_num_threads()),
            },
        )
        checkpoints.save_model(self.folder / "model.safetensors", self.average, card)

    def _setting(self) -> str:
        """What must stay the same for a resumed run to be bit-identical."""
        return ", ".join(
            (
                describe(self.device, self.accelerator.num_processes),
                f"{torch.get_num_threads()} threads",
                f"data {self.data_mark}",
                f"bf16 {'on' if self.recipe.bf16 else 'off'}",
                f"torch {torch.__version__}",
            )
        )

    def _restore(self) -> None:
        """Go on from the folder's last checkpoint; without one, from the start. The log is cut back to that point."""
        path = self.folder / "state.safetensors"
        if path.exists():
            tensors, metadata = checkpoints.read(path)
            if metadata.get("format") != STATE_FORMAT:
                raise BookError(f"{path} is not the state of a training run: choose the folder that `train` wrote")
            card = checkpoints.ModelCard.from_metadata(metadata, path)
            self._check_same(card, metadata.get("setting", "nobody knows what"))
            part = {name: {} for name in ("net", "average", "optimizer")}
            for name, value in tensors.items():
                group, _, rest = name.partition(".")
                part.setdefault(group, {})[rest] = value
            checkpoints.load_weights(self.net, part["net"], path)
            checkpoints.load_weights(self.average, part["average"], path)
            state: dict = {}
            for name, value in part["optimizer"].items():
                index, _, key = name.partition(".")
                state.setdefault(index, {})[key] = value
            state = {int(index): kept for index, kept in state.items() if index.isdecimal()}
            if len(state) != len(self._weights):
                raise BookError(
                    f"{path} lacks what the optimizer knew: train anew with --overwrite, or into another folder"
                )
            self.optimizer.load_state_dict(
                {"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]}
            )
            self.seen, self.seconds = card.images, card.seconds
        elif (self.folder / "model.safetensors").exists():
            raise BookError(
                f"{self.folder} holds a model, but no state.safetensors to go on from: train into another folder, or anew "
                "with --overwrite"
            )
        log = self.folder / "log.jsonl"
        if log.exists() and self.accelerator.is_main_process:
            # a kill may have cut the last line short: what does not parse was never reported
            kept = [
                line
                for line in log.read_text(errors="replace").splitlines()
                if (images_in(line) or math.inf) <= self.seen
            ]
            checkpoints.replace_file(log, "".join(line + "\n" for line in kept).encode())

    def _check_same(self, card, setting: str) -> None:
        pairs = {f.name: (getattr(card.recipe, f.name), getattr(self.recipe, f.name)) for f in fields(Recipe)}
        pairs |= {"seed": (card.seed, self.seed), "classes": (", ".join(card.names), ", ".join(self.names))}
        differ = [
            f"{name} ({old}, now {new})" if isinstance(old, (int, float, str)) else name
            for name, (old, new) in pairs.items()
            if encode(old) != encode(new)
        ]
        if differ:
            raise BookError(
                f"{self.folder} was trained with another {', '.join(differ)}: resume with the same, or train elsewhere"
            )
        if setting != self._setting():
            warnings.warn(
                f"this run began on ({setting}), now it is ({self._setting()}): it will not end bit for bit the same",
                stacklevel=4,
            )


RUN_FILES = ("state.safetensors", "model.safetensors", "log.jsonl")


def holds_run(folder: Path) -> bool:
    return any((Path(folder) / name).exists() for name in RUN_FILES)


def threads_of(folder: Path) -> int | None:
    """How many threads a run computes with, as its last checkpoint says; None without one."""
    path = Path(folder) / "state.safetensors"
    threads = checkpoints.read(path)[1].get("threads", "") if path.is_file() else ""
    return int(threads) if threads.isdecimal() else None


def remove_run(folder: Path) -> None:
    """Delete a run's own files and pictures from its folder, and nothing else."""
    previews = (Path(folder) / "samples").glob("[0-9]" * 9 + ".png")
    for file in [Path(folder) / name for name in (*RUN_FILES, "loss.png")] + list(previews):
        file.unlink(missing_ok=True)


def images_in(line: str) -> int | None:
    """The images seen at a line of the log, None if the line is not whole."""
    try:
        return json.loads(line)["images"]
    except (ValueError, KeyError, TypeError):
        return None


def averaging_weight(decay: float, updates: int) -> float:
    """1 - d of the running average avg + (1 - d)(new - avg), with d = min(decay, (1 + n)/(10 + n)) after n updates.

    The early d are small, so that the random start is forgotten. The ramp is that of TensorFlow's moving average.
    """
    return 1 - min(decay, (1 + updates) / (10 + updates))


@lru_cache(maxsize=2)
def order(seed: int, epoch: int, n: int) -> torch.Tensor:
    """The order in which epoch number `epoch` shows the n images."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(mix(seed, epoch, "order")))
