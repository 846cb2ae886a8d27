"""Options of the test suite: whose exercises are examined, and which equation's tests are run."""

import os

import pytest
import torch

# training commands would otherwise measure how busy the machine is, and choose for the whole test run
os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))


def pytest_addoption(parser):
    parser.addoption("--impl", default="solutions", help="folder of the exercise functions to examine")
    parser.addoption("--equation", default=None, help="only the tests that carry this equation's label")


def pytest_collection_modifyitems(config, items):
    label = config.getoption("--equation")
    if label:
        carries = [any(label in mark.args for mark in item.iter_markers("equation")) for item in items]
        config.hook.pytest_deselected(items=[item for item, yes in zip(items, carries, strict=True) if not yes])
        items[:] = [item for item, yes in zip(items, carries, strict=True) if yes]
        if not items:
            raise pytest.UsageError(f"no test carries @pytest.mark.equation({label!r})")
