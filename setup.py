"""The chapters and exercises stand at the top of the repository; a wheel carries them inside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
KINDS = {"chapters": (".md", ".ipynb", ".toml"), "exercises": (".py",)}  # as in diffusion_book/course.py
REFERENCES = Path("book/references.bib")


class BuildWithCourse(build_py):
    """`build_py`, and chapters/ and exercises/ as diffusion_book/course/. An editable install reads them where they are."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        course = Path(self.build_lib) / "diffusion_book" / "course"
        shutil.rmtree(course, ignore_errors=True)  # what an earlier build left in build/ may be gone from the book
        for kind, endings in KINDS.items():
            (course / kind).mkdir(parents=True)
            for file in sorted((ROOT / kind).iterdir()):
                if file.suffix in endings:
                    shutil.copyfile(file, course / kind / file.name)
        (course / REFERENCES.parent).mkdir()
        shutil.copyfile(ROOT / REFERENCES, course / REFERENCES)


setup(cmdclass={"build_py": BuildWithCourse})
