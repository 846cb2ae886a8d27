"""Which arithmetic a run uses: bfloat16 only where the device multiplies it itself."""

import pytest
import torch

from diffusion_book import hardware


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_tile"])
def test_a_processor_with_bf16_instructions_uses_them_and_one_without_does_not(monkeypatch, instructions):
    cpu, a = torch.device("cpu"), torch.randn(4, 4)
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda: False)
    with hardware.autocast(cpu, bf16=True):
        assert (a @ a).dtype == torch.float32
    assert "bf16" not in hardware.describe(cpu)
    monkeypatch.setattr(torch.cpu, f"_is_{instructions}_supported", lambda: True)
    with hardware.autocast(cpu, bf16=True):
        assert (a @ a).dtype == torch.bfloat16
    with hardware.autocast(cpu, bf16=False):
        assert (a @ a).dtype == torch.float32
    assert hardware.describe(cpu).endswith(", bf16")


@pytest.mark.parametrize(
    "speeds, asked, kept",
    [
        ({8: 400.0, 4: 250.0, 1: 100.0}, None, 8),  # idle
        ({8: 50.0, 4: 260.0, 1: 100.0}, None, 4),  # one core is somebody else's
        ({8: 10.0, 4: 20.0, 1: 100.0}, None, 1),
        ({8: 100.0, 4: 125.0, 1: 60.0}, None, 8),  # too little to say
        ({8: 10.0, 4: 20.0, 1: 100.0}, "8", 8),  # asked for
    ],
)
def test_threads_that_only_wait_are_left_out(monkeypatch, speeds, asked, kept):
    threads = 8

    def choose(n):
        nonlocal threads
        threads = n

    def measure(n):
        choose(n)
        return speeds[n]

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", choose)
    monkeypatch.setattr(hardware, "convolutions_per_second", measure)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    line = hardware.settle_threads()
    assert threads == kept
    assert line is None if kept == 8 else f"on {kept} of 8 threads" in line


@pytest.mark.parametrize("before, kept, said", [(3, 3, "on 3 of 8 threads, as this run was begun"), (8, 8, None)])
def test_a_run_that_goes_on_keeps_its_threads(monkeypatch, before, kept, said):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(hardware, "convolutions_per_second", lambda threads: 1 / 0)
    monkeypatch.delenv("OMP_NUM_THREADS")
    line = hardware.settle_threads(before)
    assert chosen == [kept]
    assert line is None if said is None else said in line


def test_the_speed_is_counted_in_convolutions_a_second(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: float(next(ticks)))
    before = torch.get_num_threads()
    try:
        # the clock goes on by one second a look: started at 0, looked at after each convolution
        assert hardware.convolutions_per_second(before, seconds=4) == pytest.approx(3 / 4)
    finally:
        torch.set_num_threads(before)
