"""What a run ran on, in words, for logs and model cards; and the choice of a device."""

import platform
from pathlib import Path

import torch

from diffusion_book.errors import BookError


def describe(device: torch.device, processes: int = 1) -> str:
    """For example "AMD EPYC, 2 threads" or "2 x NVIDIA H100"."""
    times = f"{processes} x " if processes > 1 else ""
    if device.type == "cuda":
        return times + torch.cuda.get_device_name(device)
    return f"{times}{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def choose(device: str | None = None) -> torch.device:
    """The device asked for, else the GPU if there is one, else the CPU. Raises BookError if it is not there."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BookError(
            f"the device {device!r} cannot be used here ({reason}): leave --device out, or say --device cpu"
        ) from error
    return chosen
