"""Training: what it minimizes it finds, and a run that was stopped ends as if it never had been."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TINY, tiny_run

from diffusion_book import checkpoints, recipes, training
from diffusion_book.errors import BookError
from diffusion_book.nets.mlp import MLPConfig


def final(folder: Path) -> tuple[dict, list]:
    """All tensors of a finished run, and its log without the times of day."""
    tensors, _ = checkpoints.read(folder / "state.safetensors")
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return tensors, [{key: row[key] for key in ("images", "loss", "learning_rate", "saved")} for row in rows]


def assert_same(one: Path, two: Path) -> None:
    (a, log_a), (b, log_b) = final(one), final(two)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert log_a == log_b


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    list(tiny_run(folder))
    return folder


def test_the_same_seed_trains_the_same_model_and_another_seed_another(unbroken, tmp_path):
    list(tiny_run(tmp_path / "again"))
    assert_same(unbroken, tmp_path / "again")
    list(tiny_run(tmp_path / "other", seed=1))
    assert final(unbroken)[1][0]["loss"] != final(tmp_path / "other")[1][0]["loss"]


@pytest.mark.parametrize("stop_after", [1, 5, 9])
def test_a_stopped_run_resumes_bit_for_bit(unbroken, tmp_path, stop_after):
    run = iter(tiny_run(tmp_path))
    for _ in range(stop_after):
        next(run)
    run.close()
    resumed = tiny_run(tmp_path, resume=True)
    assert resumed.seen % 256 == 0
    list(resumed)
    assert_same(unbroken, tmp_path)


def test_a_torn_last_line_of_the_log_is_cut_away(unbroken, tmp_path):
    run = iter(tiny_run(tmp_path))
    for _ in range(6):
        next(run)
    run.close()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"images": 44')
    list(tiny_run(tmp_path, resume=True))
    assert_same(unbroken, tmp_path)


def test_resuming_a_finished_run_changes_nothing(unbroken):
    before = (unbroken / "state.safetensors").read_bytes()
    assert list(tiny_run(unbroken, resume=True)) == []
    assert (unbroken / "state.safetensors").read_bytes() == before


def test_resuming_under_another_thread_count_is_announced(unbroken):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.warns(UserWarning, match="bit for bit"):
            tiny_run(unbroken, resume=True)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "change, message",
    [
        ({}, "holds a training run already"),
        ({"resume": True, "seed": 7}, "another seed"),
        ({"resume": True, "recipe": replace(TINY, learning_rate=1.0)}, "another learning_rate"),
        ({"resume": True, "recipe": replace(TINY, net=replace(TINY.net, widths=(8, 8)))}, "another net"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_and_left_alone(unbroken, change, message):
    before = (unbroken / "state.safetensors").read_bytes()
    with pytest.raises(BookError, match=message):
        tiny_run(unbroken, **change)
    assert (unbroken / "state.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_a_damaged_state_is_refused(unbroken, tmp_path, damage):
    data = (unbroken / "state.safetensors").read_bytes()
    model = (unbroken / "model.safetensors").read_bytes()
    (tmp_path / "state.safetensors").write_bytes(data[: len(data) // 2] if damage == "cut" else model)
    with pytest.raises(BookError, match="whole .safetensors" if damage == "cut" else "not the state of a training run"):
        tiny_run(tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_at_its_step_and_keeps_the_last_good_state(tmp_path):
    run = tiny_run(tmp_path, recipe=replace(TINY, label_drop=0.0))
    rows = iter(run)
    while next(rows).images < 512:
        pass
    good = (tmp_path / "state.safetensors").read_bytes()
    with torch.no_grad():
        run.net.stem.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(BookError, match=r"step 17 \(544 images\)"):
        list(rows)
    assert (tmp_path / "state.safetensors").read_bytes() == good
    assert run.recipe.batch * 16 == 512


@pytest.mark.skipif(os.name != "posix", reason="file-size limits are a POSIX thing")
def test_no_room_on_the_disk_leaves_a_checkpoint_to_go_on_from(unbroken, tmp_path):
    """Under a limit on the size of files the second save fails in one line; with room again, the run ends as ever."""
    script = (
        "import resource, sys; from tiny import tiny_run\n"
        "rows = iter(tiny_run(sys.argv[1]))\n"
        "while not next(rows).saved: pass\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "for _ in rows: pass"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    result = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert "what was there before is untouched" in result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.jsonl", "model.safetensors", "state.safetensors"]
    resumed = tiny_run(tmp_path, resume=True)
    assert resumed.seen == 256
    list(resumed)
    assert_same(unbroken, tmp_path)


def test_training_on_a_gaussian_finds_its_exact_denoiser(tmp_path):
    """For x ~ N(m, s^2) the best answer is m + alpha s^2/(alpha^2 s^2 + sigma^2) (x_t - alpha m), and the loss its variance."""
    mean, deviation = torch.tensor([1.0, -0.5]), 0.6
    data = mean + deviation * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    recipe = replace(recipes.POINTS, net=MLPConfig(width=64, depth=2), images=300_000, batch=500)
    run = training.Run(recipe, data, None, tmp_path, device="cpu", log_every=50_000)
    list(run)
    x_t = torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
    for t in (0.2, 0.5, 0.8):
        alpha, sigma = recipe.schedule(t)
        exact = mean + alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2) * (x_t - alpha * mean)
        # the marginal at t has its mass within this region; one in a hundred of the posterior variance is the bound
        inside = ((x_t - alpha * mean).abs() < 2 * (alpha**2 * deviation**2 + sigma**2) ** 0.5).all(1)
        error = (run.denoiser(x_t, t) - exact)[inside].square().mean().item()
        assert error < 0.02 * deviation**2 * sigma**2 / (alpha**2 * deviation**2 + sigma**2)


def test_the_learning_rate_warms_up_and_falls_to_zero():
    recipe = replace(TINY, images=1000, batch=10, warmup=100, learning_rate=2.0)
    assert recipe.learning_rate_at(0) == pytest.approx(2.0 * 0.1)
    assert recipe.learning_rate_at(90) == pytest.approx(2.0 * 1.0 * 0.91)
    assert recipe.learning_rate_at(500) == pytest.approx(1.0)
    assert recipe.learning_rate_at(1000) == 0


def test_the_average_forgets_its_start_and_then_keeps_its_decay():
    assert training.averaging_weight(0.999, 0) == pytest.approx(0.9)
    assert training.averaging_weight(0.999, 90) == pytest.approx(0.09)
    assert training.averaging_weight(0.999, 10**6) == pytest.approx(0.001)


def test_the_averaged_weights_are_the_recursion_of_the_weights(tmp_path):
    run = tiny_run(tmp_path, log_every=32, save_every=10**6)
    average = None
    for row, _ in zip(run, range(6), strict=False):
        weight = run.net.stem.weight.detach().clone()
        n = row.images // 32 - 1
        average = weight if average is None else average + training.averaging_weight(0.999, n) * (weight - average)
        torch.testing.assert_close(run.average.stem.weight, average)
        assert n == 0 or not torch.equal(run.average.stem.weight, weight)


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own():
    first, second = training.order(0, 0, 100), training.order(0, 1, 100)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert first.tolist() != second.tolist()


def test_batches_run_on_across_the_end_of_an_epoch(tmp_path):
    run = tiny_run(tmp_path, recipe=replace(TINY, flip=False, label_drop=0.0))
    shown = []
    for run.seen in range(0, 1024, 32):
        _, labels = run._batch()
        shown += labels.tolist()
    expected = torch.cat([run.labels[training.order(0, epoch, 500)] for epoch in range(3)]).tolist()
    assert shown == expected[:1024]


def test_labels_are_dropped_one_by_one_at_the_stated_rate(tmp_path):
    run = tiny_run(tmp_path, recipe=replace(TINY, label_drop=0.3))
    torch.manual_seed(0)
    dropped = torch.stack([run._batch()[1] == 10 for _ in range(100)]).double()
    error = (0.3 * 0.7 / dropped.numel()) ** 0.5
    assert abs(dropped.mean().item() - 0.3) < 4 * error
    assert 0 < dropped.mean(1).min() < dropped.mean(1).max() < 1  # never the whole batch at once


def test_a_recipe_survives_its_file():
    for recipe in recipes.RECIPES:
        assert recipes.decode(json.loads(json.dumps(recipes.encode(recipe)))) == recipe


@pytest.mark.parametrize(
    "value", [{"class": "os.system"}, {"class": "VP", "wrong": 1}, {"class": "Prediction", "name": "y"}]
)
def test_a_file_can_build_nothing_but_what_recipes_are_made_of(value):
    with pytest.raises(BookError, match="cannot be read"):
        recipes.decode(value)


@pytest.mark.slow
def test_two_processes_train_what_one_does(unbroken, tmp_path):
    """Each takes half of every batch; the averaged gradient is the whole batch's up to rounding (here in float32)."""
    script = Path(__file__).with_name("tiny_float32.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node"]
    for count in ("1", "2"):
        subprocess.run([*launch, count, str(script), str(tmp_path / count)], check=True, capture_output=True)
    _, metadata = checkpoints.read(tmp_path / "2" / "model.safetensors")
    assert checkpoints.ModelCard.from_metadata(metadata, "state").hardware.startswith("2 x ")
    one, two = (checkpoints.read(tmp_path / count / "model.safetensors")[0] for count in ("1", "2"))
    worst = max((one[name] - two[name]).abs().max().item() for name in one)
    assert worst < 1e-3
    assert max(one[name].abs().max().item() for name in one) > 0.1
