"""Ten runs killed at a random moment, each resumed to the end: every one is the unbroken run, bit for bit."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_training import assert_same

TARGET = [sys.executable, str(Path(__file__).with_name("tiny.py"))]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    subprocess.run([*TARGET, str(folder)], check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("round_number", range(10))
def test_a_killed_run_resumes_bit_for_bit(unbroken, tmp_path, round_number):
    dice = random.Random(round_number)
    log = tmp_path / "log.jsonl"
    process = subprocess.Popen([*TARGET, str(tmp_path)])
    lines = dice.randrange(1, 24)
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) >= lines):
        time.sleep(0.002)
    time.sleep(dice.random() * 0.05)  # and some way into whatever it does next, saving included
    process.send_signal(signal.SIGKILL)
    killed = process.wait() == -signal.SIGKILL
    assert killed, "the run ended before it was killed: this round proved nothing"
    subprocess.run([*TARGET, str(tmp_path), "--resume"], check=True)
    assert_same(unbroken, tmp_path)
