"""The package as others install it: the course is inside the wheel, and works from there without the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from diffusion_book import course

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Built:
    wheel: Path
    site: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    """A wheel made from a source distribution, as an index would serve them, installed into a folder of its own."""
    home = tmp_path_factory.mktemp("built")
    (home / "source").mkdir()
    for name in (
        "pyproject.toml",
        "setup.py",
        "MANIFEST.in",
        "README.md",
        "LICENSE",
        "THIRD_PARTY.md",
        "constraints.txt",
    ):
        shutil.copy(ROOT / name, home / "source" / name)
    for name in ("diffusion_book", "chapters", "exercises", "solutions", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "golden")
        shutil.copytree(ROOT / name, home / "source" / name, ignore=ignored)
    (home / "source/book").mkdir()
    shutil.copy(ROOT / course.REFERENCES, home / "source" / course.REFERENCES)
    stale = home / "source/build/lib/diffusion_book/course/chapters/99_withdrawn.md"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier build")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    make = "import setuptools.build_meta as b; print(b.build_sdist('..'))"
    made = subprocess.run([sys.executable, "-c", make], cwd=home / "source", check=True, capture_output=True, text=True)
    sdist = home / made.stdout.split()[-1]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(home)]
    subprocess.run([*build, str(sdist)], check=True, capture_output=True)
    (wheel,) = home.glob("*.whl")
    subprocess.run(
        [*pip, "install", *offline, "--target", str(home / "site"), str(wheel)], check=True, capture_output=True
    )
    return Built(wheel, home / "site")


@pytest.mark.slow
def test_a_wheel_holds_the_course_and_neither_solutions_nor_tests(built):
    names = zipfile.ZipFile(built.wheel).namelist()
    packed = {
        name.removeprefix("diffusion_book/course/") for name in names if name.startswith("diffusion_book/course/")
    }
    assert packed == {*course.course_files(), course.REFERENCES.as_posix()} - {"README.md"}
    assert any(name.startswith("exercises/ch01_") for name in packed)
    assert "diffusion_book/workspace.md" in names
    assert not [name for name in names if "solution" in name or "test_" in name or "planted" in name]
    assert not [
        name for name in names if "BEGIN SOLUTION" in zipfile.ZipFile(built.wheel).read(name).decode(errors="replace")
    ]


@pytest.mark.slow
def test_a_course_is_started_and_checked_from_the_wheel(built, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(built.site)}

    def call(*args, cwd=tmp_path):
        command = [sys.executable, "-m", "diffusion_book.cli", *args]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
        )

    where = "import diffusion_book.course as c; print(c.__file__); print(c.course_root())"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.splitlines() == [
        str(built.site / "diffusion_book/course.py"),
        str(built.site / "diffusion_book/course"),
    ]
    assert call("start", "mine").returncode == 0
    mine = tmp_path / "mine"
    assert {file.relative_to(mine).as_posix() for file in mine.rglob("*") if file.is_file()} == {
        *course.course_files(),
        course.MARKER,
    }
    (solved_file,) = (ROOT / "solutions").glob("ch01_*.py")
    stubs = call("check", "1.1", cwd=mine)
    assert (stubs.returncode, stubs.stderr) == (1, "")
    assert "not written yet" in stubs.stdout
    next((mine / "exercises").glob("ch01_*.py")).write_bytes(solved_file.read_bytes())
    solved = call("check", "1.1", cwd=mine)
    assert (solved.returncode, solved.stderr) == (0, "")
    assert course.read_state(mine)["progress"]["1.1"]["tried"] == 1


def test_help_and_start_do_not_wait_for_torch():
    code = (
        "import sys\nfrom diffusion_book import cli, course_commands\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0
