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
