"""The command line: bad input gets one clear line and exit code 2, and nothing is lost; good input does what it says."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny import TINY, tiny_run

from diffusion_book import checkpoints, commands, metrics, recipes
from diffusion_book.cli import main
from diffusion_book.data.points import POINT_SETS
from diffusion_book.errors import BookError
from diffusion_book.training import Run, threads_of

NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder of a finished tiny run."""
    folder = tmp_path_factory.mktemp("trained")
    list(tiny_run(folder, recipe=replace(TINY, images=320)))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def refused(capsys, *args) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as exit:
        main([str(arg) for arg in args])
    assert exit.value.code == 2
    # a progress bar that was begun is wiped by carriage returns: what remains to be seen is behind the last of them
    lines = [line.split("\r")[-1] for line in capsys.readouterr().err.replace("\r\n", "\n").rstrip().split("\n")]
    lines = [line for line in lines if line.strip() and "[A" not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    "args, words",
    [
        (["train", "fashon"], ["no recipe named 'fashon'", "did you mean fashion"]),
        (["train", "zzz"], ["no recipe named 'zzz'", "points"]),
        (["train", "points", "--size", "huge"], ["sizes laptop, gpu"]),
        (["train", "points", "--data", "mons"], ["no point set 'mons'", "moons"]),
        (["train", "fashion", "--data", "x"], ["brings its own data"]),
        (["train", "points", "--images", "0"], ["--images"]),
        (["train", "points", "--images", "many"], ["a whole number is wanted", "'many'"]),
        (["sample", "TRAINED", "--steps", "2.5"], ["a whole number is wanted", "'2.5'"]),
        (["train", "points", "--out", ""], ["a file or a folder is wanted"]),
        (["sample", "TRAINED", "--seed", "None"], ["a whole number is wanted", "'None'"]),
        (["train", "points", "--batch", "-5"], ["--batch"]),
        (["train", "points", "--label", "3"], ["no classes"]),
        (["train", "fashion", "--label", "hat"], ["'hat' is no class", "7 Sneaker"]),
        (["train", "points", "--resume", "--overwrite"], ["choose one of them"]),
        (["train", "folder"], ["--data PATH"]),
        (["train", "folder", "--data", "nowhere"], ["nowhere"]),
        (["sample", "nothing.safetensors"], ["no model at 'nothing.safetensors'", "(fashion, fashion-laptop)"]),
        (["sample", "TRAINED", "--label", "12"], ["'12' is no class", "0 T-shirt/top"]),
        (["sample", "TRAINED", "--label", "-1"], ["'-1' is no class"]),
        (["sample", "TRAINED", "--label", "s"], ["fits several classes"]),
        (["sample", "TRAINED", "--steps", "0"], ["at least 1 step"]),
        (["sample", "TRAINED", "--n", "0"], ["at least 1"]),
        (["sample", "TRAINED", "--sampler", "ddim", "--eta", "-0.5"], ["0 or more"]),
        (["sample", "TRAINED", "--sampler", "ddim", "--eta", "9"], ["negative variance", "at most"]),
        (["sample", "TRAINED", "--sampler", "heun", "--eta", "0.5"], ["eta"]),
        (["sample", "TRAINED", "--device", "nonsense"], ["no device 'nonsense'", "cpu, cuda"]),
        (["sample", "TRAINED", "--device", "meta"], ["no device 'meta'"]),
        (["sample", "TRAINED", "--label", "²"], ["'²' is no class"]),
        (["sample", "TRAINED", "--n", "-3"], ["at least 1 sample", "-3"]),
        (["sample", "TRAINED", "--n", "1000000000000"], ["at most 1,000,000"]),
        (["sample", "TRAINED", "--steps", "1000000000"], ["at most 100,000"]),
        (["sample", "TRAINED", "--out", "letters.txt"], ["letters.txt", ".png"]),
        (["sample", ""], ["no model at"]),
        (["sample", "TRAINED", "--seed", str(2**70)], ["below 2^63"]),
        (["train", "points", "--seed", str(2**70)], ["below 2^63"]),
        (["train", "points", "--n", "-2"], ["at least 1 sample"]),
        (["train", "points", "--n", "0"], ["at least 1 sample"]),
        (["train", "points", "--images", "400", "--batch", str(10**15)], ["--batch"]),
        (["train", "folder", "--data", ""], ["--data PATH"]),
        (["demo", "--seed", str(2**70)], ["below 2^63"]),
        (["evaluate", "TRAINED", "--n", "3"], ["at least 20"]),
        (["demo", "--n", "3"], ["at least 20"]),
        (["demo", "--steps", "0"], ["at least 1 step"]),
        (["train", "points", "--steps", "0"], ["at least 1 step"]),
    ],
)
def test_bad_input_gets_one_line(trained, here, capsys, args, words):
    line = refused(capsys, *[trained if arg == "TRAINED" else arg for arg in args])
    for word in words:
        assert word in line
    assert list(here.iterdir()) == []  # nothing was begun


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(trained, here, capsys):
    assert "--device cpu" in refused(capsys, "sample", trained, "--device", "cuda")


def test_a_folder_of_broken_images(here, capsys):
    (here / "photos").mkdir()
    assert "photos" in refused(capsys, "train", "folder", "--data", "photos")
    (here / "photos" / "letter.png").write_text("Dear student,")
    assert "photos" in refused(capsys, "train", "folder", "--data", "photos")


@pytest.mark.parametrize("kind", ["cut", "foreign", "picture", "other shape"])
def test_a_file_that_is_no_model(trained, here, capsys, kind):
    whole = (trained / "model.safetensors").read_bytes()
    file = here / "model.safetensors"
    if kind == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "foreign":
        save_file({"w": torch.ones(3)}, file)
    elif kind == "picture":
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    else:
        net = replace(TINY, net=replace(TINY.net, widths=(8, 24))).network()
        checkpoints.save_model(file, net, checkpoints.load_model(trained)[1])
    before = file.read_bytes()
    line = refused(capsys, "sample", file)
    expected = {"foreign": "no model of this book", "other shape": "another shape"}.get(
        kind, "not a whole .safetensors"
    )
    assert expected in line
    assert file.read_bytes() == before


def test_existing_files_are_not_overwritten_unless_asked(trained, here, capsys):
    Path("mine.png").write_bytes(b"precious")
    assert "--overwrite" in refused(capsys, "sample", trained, "--out", "mine.png")
    assert Path("mine.png").read_bytes() == b"precious"
    main(["sample", str(trained), "--out", "mine.png", "--overwrite", "--n", "2", "--steps", "2"])
    assert picture("mine.png").width > 28


def test_training_into_a_folder_that_holds_a_run(here, capsys):
    command = ["train", "points", "--images", "2048", "--batch", "256", "--out", "run", "--device", "cpu"]
    main(command)
    capsys.readouterr()
    before = Path("run/model.safetensors").read_bytes()
    assert "--resume" in refused(capsys, *command)
    assert Path("run/model.safetensors").read_bytes() == before
    main([*command, "--resume"])
    Path("run/notes.txt").write_text("mine")
    main([*command, "--overwrite", "--seed", "1"])
    assert Path("run/model.safetensors").read_bytes() != before
    assert Path("run/notes.txt").read_text() == "mine"
    assert len(list(Path("run/samples").glob("*.png"))) > 1
    capsys.readouterr()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(trained, here, capsys):
    Path("locked").mkdir(mode=0o500)
    refused(capsys, "sample", trained, "--n", "1", "--steps", "1", "--out", "locked/x.png")


def test_the_demo_replaces_only_its_own_folder(here, capsys):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert "something else than a demo" in refused(capsys, "demo", "--out", "mine")
    assert Path("mine/thesis.txt").read_text() == "years of work"
    list(tiny_run(here / "long", recipe=replace(TINY, images=64)))
    before = Path("long/model.safetensors").read_bytes()
    assert "something else than a demo" in refused(capsys, "demo", "--out", "long")
    assert Path("long/model.safetensors").read_bytes() == before


def test_places_that_cannot_hold_a_result_are_named_before_the_work_begins(trained, here, capsys, monkeypatch):
    def work(*args, **options):
        raise AssertionError("the work began")

    monkeypatch.setattr(commands, "draw", work)
    monkeypatch.setattr(commands, "with_bar", work)
    Path("file").write_text("mine")
    Path("run").mkdir()
    Path("run/samples").write_text("mine")
    assert "file is a file" in refused(capsys, "sample", trained, "--out", "file/x.png")
    assert "here is a folder" in refused(capsys, "evaluate", trained, "--out", here, "--overwrite").replace(
        str(here), "here"
    )
    assert "file is a file" in refused(capsys, "evaluate", trained, "--out", "file/x.json")
    assert "file is a file" in refused(capsys, "train", "points", "--out", "file")
    assert "run/samples is a file" in refused(capsys, "train", "points", "--out", "run").replace("\\", "/")
    assert "file is a file" in refused(capsys, "demo", "--out", "file")
    assert Path("file").read_text() == Path("run/samples").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
@pytest.mark.parametrize("command", [["sample", "--out", "x.png"], ["evaluate", "--out", "x.json", "--n", "20"]])
def test_a_full_disk_leaves_the_old_result_whole(trained, here, capsys, command):
    import resource
    import signal

    Path(command[2]).write_bytes(b"precious")
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
        line = refused(capsys, command[0], trained, "--steps", "1", *command[1:], "--overwrite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert "could not save" in line
    assert "Make room" in line
    assert [path.name for path in here.iterdir()] == [command[2]]
    assert Path(command[2]).read_bytes() == b"precious"


@pytest.mark.parametrize(
    "card",
    [
        None,
        "no json",
        "[1, 2]",
        "{}",
        '{"extra": 1}',
        '{"recipe": "fashion", "names": []}',
        '{"recipe": 3, "names": 4}',
    ],
)
def test_a_model_without_a_card_that_can_be_read(trained, here, capsys, card):
    tensors, metadata = checkpoints.read(trained / "model.safetensors")
    metadata = {"format": metadata["format"]} | ({} if card is None else {"card": card})
    checkpoints.write(here / "x.safetensors", tensors, metadata)
    assert "does not say how its model was made" in refused(capsys, "sample", "x.safetensors")


def test_a_model_that_is_not_finite(trained, here, capsys):
    tensors, metadata = checkpoints.read(trained / "model.safetensors")
    broken = {name: torch.full_like(tensor, float("nan")) for name, tensor in tensors.items()}
    checkpoints.write(here / "x.safetensors", broken, metadata)
    assert "not finite" in refused(capsys, "sample", "x.safetensors", "--n", "2", "--steps", "2")
    assert [path.name for path in here.iterdir()] == ["x.safetensors"]


def test_a_shipped_model_is_not_hidden_by_a_folder_of_its_name(here):
    Path("fashion").mkdir()
    assert checkpoints.load_model("fashion")[1].recipe.name == "fashion"


POINTS = ["train", "points", "--images", "512", "--batch", "128", "--out", "run", "--device", "cpu"]


def test_an_old_run_is_replaced_only_when_the_new_one_has_begun(here, capsys, monkeypatch):
    main(POINTS)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}

    def fails(self):
        raise BookError("no batch")

    with monkeypatch.context() as patch:
        patch.setattr("diffusion_book.training.Run._batch", fails)
        with pytest.raises(SystemExit):
            main([*POINTS, "--overwrite", "--seed", "1"])
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    Path("run/samples/mine.png").write_bytes(b"mine")
    main([*POINTS[:3], "256", *POINTS[4:], "--overwrite"])
    pictures = sorted(path.name for path in Path("run/samples").iterdir())
    assert pictures == ["000000128.png", "000000256.png", "mine.png"]


def test_what_cannot_be_gone_on_with(here, capsys):
    main(POINTS)
    state, log = Path("run/state.safetensors"), Path("run/log.jsonl")
    assert threads_of(Path("run")) == torch.get_num_threads()
    assert threads_of(Path("elsewhere")) is None
    tensors, metadata = checkpoints.read(state)
    capsys.readouterr()

    def resumed(left: dict) -> str:
        checkpoints.write(state, left, metadata)
        return refused(capsys, *POINTS, "--resume")

    assert "missing" in resumed({k: v for k, v in tensors.items() if not k.startswith("average.")})
    assert "optimizer" in resumed({k: v for k, v in tensors.items() if not k.startswith("optimizer.")})
    state.write_bytes(state.read_bytes()[:1000])
    assert "model.safetensors" in refused(capsys, *POINTS, "--resume")
    state.unlink()
    model = Path("run/model.safetensors").read_bytes()
    assert "no state.safetensors" in refused(capsys, *POINTS, "--resume")
    assert Path("run/model.safetensors").read_bytes() == model
    checkpoints.write(state, tensors, metadata)
    log.unlink()
    main([*POINTS, "--resume"])
    capsys.readouterr()
    assert "images (512, now 1024)" in refused(capsys, *POINTS[:3], "1024", *POINTS[4:], "--resume")
    main([*POINTS, "--resume", "--data", "moons"])
    capsys.readouterr()
    assert "data" in refused(capsys, *POINTS, "--resume", "--data", "rings")


def test_resuming_with_other_classes_or_other_images(here, tmp_path):
    x, y = torch.zeros(40, 1, 28, 28, dtype=torch.uint8), torch.arange(40) % 10
    list(Run(replace(TINY, images=64), x, y, here / "run", names=NAMES))
    with pytest.raises(BookError, match="another classes"):
        Run(replace(TINY, images=64), x, y, here / "run", names=NAMES[::-1], resume=True)
    with pytest.warns(UserWarning, match="bit for bit"):
        Run(replace(TINY, images=64), x + 1, y, here / "run", names=NAMES, resume=True)


def test_a_folder_of_images_trains_with_its_subfolders_as_classes(here, capsys, monkeypatch):
    small = replace(
        recipes.FOLDER, net=replace(recipes.FOLDER.net, widths=(8, 16), blocks=1, attention=(), embedding=16), batch=8
    )
    monkeypatch.setattr(recipes, "RECIPES", (small,))
    for name, colour in (("cats", "red"), ("dogs", "blue")):
        (here / "photos" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (40 + i, 50), colour).save(here / "photos" / name / f"{i}.jpg")
    (here / "photos" / "cats" / "broken.png").write_text("no image")
    main(
        [
            "train",
            "folder",
            "--data",
            "photos",
            "--images",
            "64",
            "--out",
            "run",
            "--device",
            "cpu",
            "--n",
            "2",
            "--steps",
            "2",
        ]
    )
    printed = capsys.readouterr().out
    assert "broken.png" in printed
    assert "8 images" in printed
    assert "1 skipped" in printed
    main(["sample", "run", "--label", "dogs", "--n", "1", "--steps", "2", "--out", "dog.png"])
    assert picture("dog.png").mode == "RGB"


def test_evaluate_prints_the_floor_beside_the_score(trained, here, capsys):
    main(["evaluate", str(trained), "--n", "60", "--steps", "2", "--out", "scores.json"])
    scores = json.loads(Path("scores.json").read_text())
    assert scores["samples"]["frechet"] > 10 * scores["real test"]["frechet"]
    assert scores["samples"]["samples"] == scores["real test"]["samples"] == 60
    assert "real test" in capsys.readouterr().out


def test_points_are_measured_against_the_set_they_were_trained_on(here, capsys):
    main(["train", "points", "--data", "rings", "--images", "200000", "--out", "run", "--device", "cpu"])
    main(["evaluate", "run", "--out", "scores.json", "--n", "1000"])
    scores = json.loads(Path("scores.json").read_text())
    rings = POINT_SETS["rings"](1000, seed=1)
    wrong = metrics.energy_distance(POINT_SETS["moons"](1000, seed=0), rings)
    assert abs(scores["real data"]["energy"]) < wrong / 10
    assert abs(scores["samples"]["energy"]) < wrong / 3
    assert scores["samples"]["samples"] == 1000


def test_recipes_lists_every_recipe(capsys):
    main(["recipes"])
    printed = capsys.readouterr().out
    for recipe in recipes.RECIPES:
        assert f"{recipe.images:,}" in printed
        assert recipe.name in printed


@pytest.mark.parametrize(
    "label, expected",
    [("sneaker", 7), ("Sneaker", 7), ("7", 7), ("boot", 9), ("shirt", 6), ("t-shirt", 0), ("none", 10)],
)
def test_labels_are_found_by_name_part_or_number(label, expected):
    assert commands.chosen_labels(label, TINY, NAMES, 3).tolist() == [expected] * 3


def test_none_is_no_label_however_it_is_written(trained, here):
    for label, path in (("none", "a.png"), ("None", "b.png"), ("all", "c.png")):
        main(["sample", str(trained), "--label", label, "--n", "4", "--steps", "2", "--out", path])
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_without_a_label_all_classes_come_in_turn():
    assert commands.chosen_labels("all", TINY, NAMES, 12).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "heun", "heun_t", "euler_t", "ddim", "ancestral"])
def test_sampling_is_bit_identical_and_does_not_depend_on_the_batch(trained, sampler):
    """The same call twice: the same bits. Any batch split: within one grey level."""
    denoiser, card = checkpoints.load_model(trained)
    labels = torch.arange(6)

    def draw(batch):
        return commands.draw(denoiser, card.recipe, 6, labels, 4, sampler, eta=0.0, seed=3, batch=batch)

    one = draw(6)
    assert torch.equal(one, draw(6))
    for batch in (1, 4):
        assert (one - draw(batch)).abs().max() < 1 / 127.5
    assert (
        torch.equal(one[:4], commands.draw(denoiser, card.recipe, 4, labels[:4], 4, sampler, seed=3, batch=6))
        or (one[:4] - commands.draw(denoiser, card.recipe, 4, labels[:4], 4, sampler, seed=3, batch=6)).abs().max()
        < 1 / 127.5
    )
    assert (one - commands.draw(denoiser, card.recipe, 6, labels, 4, sampler, seed=4)).abs().max() > 0.1


def test_a_shipped_model_is_found_by_name_and_knows_its_card():
    denoiser, card = checkpoints.load_model("fashion")
    assert card.names == NAMES
    assert card.images >= card.recipe.images
    assert card.seconds > 600
    assert (checkpoints.SHIPPED / "fashion.safetensors").stat().st_size < 8e6
    assert len(next(iter(card.metrics.values()))["values"]) >= 3
    assert denoiser.schedule == card.recipe.schedule


def test_an_unreadable_card_is_one_line(trained, here):
    tensors, metadata = checkpoints.read(trained / "model.safetensors")
    checkpoints.write(
        here / "odd.safetensors", tensors, metadata | {"card": metadata["card"].replace('"UNet', '"Evil')}
    )
    with pytest.raises(BookError, match="cannot be read by this version"):
        checkpoints.load_model(here / "odd.safetensors")
