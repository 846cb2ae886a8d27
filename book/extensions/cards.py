"""Tables that are read from files when the site is built: {model-cards}, {calibration} and {chapter-table}.

The first two come from diffusion_book/weights/, the last from the chapters and tests; nothing is typed in.
"""

import json
import math
import re
from dataclasses import fields
from pathlib import Path

import safetensors
from sphinx.util.docutils import SphinxDirective

from diffusion_book import checks, equations
from diffusion_book.checkpoints import MODEL_FORMAT, ModelCard
from diffusion_book.recipes import RECIPES, Recipe

NOT_RUN = "not yet run"
NAMES = {
    "floor": "real test images: the floor",
    "noise 0.02": "real test images with noise of standard deviation 0.02",
    "noise 0.05": "real test images with noise of standard deviation 0.05",
    "blur": "real test images, blurred",
    "demo": "the model that `make demo` trains",
    "shipped model": "the shipped model `fashion`",
}


def read(weights: Path) -> tuple[dict[str, tuple[ModelCard, int]], dict[str, dict]]:
    """(file name -> card and number of parameters of each model, file name -> metadata of everything else that has some)."""
    models, others = {}, {}
    for path in sorted(weights.glob("*.safetensors")):
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            parameters = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        if metadata.get("format") == MODEL_FORMAT:
            models[path.stem] = ModelCard.from_metadata(metadata, path), parameters
        elif metadata:
            others[path.stem] = metadata
    return models, others


def duration(seconds: float) -> str:
    """For example "48 min 51 s"."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"


def spread(entry: dict) -> str:
    """For example "0.487 ± 0.057": the standard deviation over seeds, or the standard error, where there is one."""
    error = entry.get("deviation", entry.get("standard_error"))
    error = None if len(entry.get("values", "ab")) < 2 else error  # one run has no spread
    return f"{entry['mean']}" + (f" ± {error}" if error is not None else "")


def score(entry) -> str:
    """A metric of a card in words, with the number of seeds and samples where they are known."""
    if not isinstance(entry, dict) or "mean" not in entry:
        return str(entry)
    seeds = len(entry.get("values", ()))
    known = [f"{seeds} sampling seed{'' if seeds == 1 else 's'}"] if seeds else []
    known += [f"{entry[name]:,} {name}" for name in ("samples", "steps") if name in entry]
    return spread(entry) + (f" ({', '.join(known)})" if known else "")


def shown(value) -> str:
    """A part of a recipe as code, short: only what is not that part's default."""
    if not hasattr(value, "__dataclass_fields__"):
        return str(value)
    name = getattr(value, "name", None)
    if isinstance(name, str):
        return name
    set_to = [f"{f.name}={getattr(value, f.name)}" for f in fields(value) if getattr(value, f.name) != f.default]
    return f"{type(value).__name__}({', '.join(set_to)})"


def recipe_rows(recipe: Recipe) -> dict[str, str]:
    """What a recipe says before it is run."""
    return {
        "network": f"`{shown(recipe.net)}`",
        "data": recipe.data,
        "schedule, prediction": f"`{shown(recipe.schedule)}`, {shown(recipe.prediction)}",
        "training images, batch": f"{recipe.images:,}, {recipe.batch}",
        "made again by": f"`diffusion-book train {recipe.name} --size {recipe.size}`",
    }


def model_table(name: str, card: ModelCard, parameters: int, gpu: Recipe | None) -> str:
    """One shipped model, and beside it its recipe at the full size, as a MyST table."""
    recipe = card.recipe
    ran = recipe_rows(recipe) | {
        "parameters": f"{parameters:,}",
        "hardware": card.hardware,
        "training time": duration(card.seconds),
        "images seen": f"{card.images:,}",
        "seed": str(card.seed),
        "package version": card.version,
    }
    ran |= {metric.replace("frechet", "Fréchet"): score(entry) for metric, entry in card.metrics.items()}
    planned = {} if gpu is None else dict.fromkeys(ran, NOT_RUN) | recipe_rows(gpu)
    planned.pop("package version", None)
    sizes = [f"shipped, size `{recipe.size}`"] + (["size `gpu`"] if gpu else [])
    lines = ["| entry | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for row, value in ran.items():
        lines.append(f"| {row} | {value} |" + (f" {planned.get(row, '')} |" if gpu else ""))
    return f"(model-{name})=\n### `{name}`\n\n" + "\n".join(lines) + "\n"


class ModelCards(SphinxDirective):
    """A table for each shipped model, from the cards in the files."""

    def run(self):
        weights = Path(self.env.srcdir) / "diffusion_book" / "weights"
        models, others = read(weights)
        for path in weights.glob("*.safetensors"):
            self.env.note_dependency(str(path))
        have = {(card.recipe.name, card.recipe.size) for card, _ in models.values()}
        parts = []
        for name, (card, parameters) in models.items():
            full = {recipe.name: recipe for recipe in RECIPES if recipe.size == "gpu"}
            gpu = full.get(card.recipe.name) if (card.recipe.name, "gpu") not in have else None
            parts.append(model_table(name, card, parameters, gpu))
        for name, metadata in others.items():
            rows = "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in sorted(metadata.items()))
            parts.append(f"### `{name}`\n\n| entry | value |\n|---|---|\n{rows}\n")
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


class Calibration(SphinxDirective):
    """What the metrics say of real images, of damaged ones and of models, from calibration.json."""

    def run(self):
        path = Path(self.env.srcdir) / "diffusion_book" / "weights" / "calibration.json"
        self.env.note_dependency(str(path))
        stored = json.loads(path.read_text(encoding="utf-8"))
        lines = ["| images | Fréchet distance | spread |", "|---|---|---|"]
        for name, entry in stored.items():
            if isinstance(entry, dict) and "mean" in entry:
                error = "standard error" if "standard_error" in entry else ""
                kind = f"standard deviation, {len(entry['values'])} runs" if "values" in entry else error
                lines.append(f"| {NAMES.get(name, name)} | {spread(entry)} | {kind} |")
        head = f"{stored['samples']:,} images each, against {stored['reference']}.\n\n"
        return self.parse_text_to_nodes(head + "\n".join(lines) + "\n")


class ChapterTable(SphinxDirective):
    """The chapters: what each holds that can be checked."""

    def run(self):
        root = Path(self.env.srcdir)
        watched = equations.tests(root)
        lines = ["| chapter | numbered equations | tests that watch them | exercises |", "|---|--:|--:|--:|"]
        for path in equations.chapters(root):
            self.env.note_dependency(str(path))
            if not path.with_suffix(".ipynb").exists():
                continue
            text, number = path.read_text(encoding="utf-8"), int(path.name[:2])
            title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
            labels = [equation.label for equation in equations.of_chapter(path)]
            tests = {(test.file, test.name) for label in labels for test in watched.get(label, [])}
            count = sum(exercise.chapter == number for exercise in checks.exercises().values())
            lines.append(
                f"| {number}. [{title}](/chapters/{path.stem}.ipynb) | {len(labels)} | {len(tests)} | {count} |"
            )
        return self.parse_text_to_nodes("\n".join(lines) + "\n")


def setup(app):
    app.add_directive("chapter-table", ChapterTable)
    app.add_directive("model-cards", ModelCards)
    app.add_directive("calibration", Calibration)
    return {"parallel_read_safe": True}
