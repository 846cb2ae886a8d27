"""What a run ran on, in words, for logs and model cards; and the choice of a device and of threads."""

import os
import platform
import time
from pathlib import Path

import torch

from diffusion_book.errors import BookError


def describe(device: torch.device, processes: int = 1) -> str:
    """For example "AMD EPYC, 2 threads" or "2 x NVIDIA H100"."""
    times = f"{processes} x " if processes > 1 else ""
    if device.type == "cuda":
        return times + torch.cuda.get_device_name(device)
    bf16 = ", bf16" if bf16_helps(device) else ""
    return f"{times}{_processor()}, {_threads()}{bf16}"


def bf16_helps(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself. A processor that does not imitates it, and is ten times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = (getattr(torch.cpu, f"_is_{name}_supported", lambda: False) for name in ("avx512_bf16", "amx_tile"))
    return device.type == "cpu" and any(asked() for asked in supported)


def autocast(device: torch.device, bf16: bool):
    """A context in which networks compute in bfloat16, if that is wanted and the device gains by it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 and bf16_helps(device))


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread{'' if count == 1 else 's'}"


def settle_threads(before: int | None = None) -> str | None:
    """Compute on `before` threads or, left out, on fewer where that is faster now; a line that says so, None if all are kept.

    A team of threads waits for its slowest member at every layer: beside another busy program two can be ten times slower
    than one. A number asked for by OMP_NUM_THREADS is kept.
    """
    most = torch.get_num_threads()
    if most == 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    if before:
        torch.set_num_threads(before)
        return None if before == most else f"Computing on {before} of {most} threads, as this run was begun"
    speed = dict.fromkeys((most, max(most // 2, 1), 1), 0.0)
    for _ in range(3):
        for threads in speed:
            speed[threads] = max(speed[threads], convolutions_per_second(threads))
    best = max(speed, key=speed.get)
    if speed[best] < 1.3 * speed[most]:  # less is noise
        best = most
    torch.set_num_threads(best)
    if best == most:
        return None
    return (
        f"Computing on {best} of {most} threads: all of them are slower here and now, as happens while other programs are "
        f"busy (OMP_NUM_THREADS={most} forces all)"
    )


def convolutions_per_second(threads: int, seconds: float = 0.1) -> float:
    """How often a layer of the small U-Net's size is computed, on this number of threads, which stays set."""
    torch.set_num_threads(threads)
    x, weight = torch.zeros(16, 24, 28, 28), torch.zeros(24, 24, 3, 3)
    torch.conv2d(x, weight, padding=1)  # the first call sets up more than it computes
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        torch.nn.functional.silu(torch.conv2d(x, weight, padding=1))
        done += 1
    return done / elapsed


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
        known = chosen.type in ("cpu", "cuda", "mps")
    except RuntimeError:
        known = False
    if not known:
        raise BookError(f"there is no device {device!r}: say cpu, cuda, cuda:1 or mps, or leave --device out")
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")[:100]
        raise BookError(
            f"the device {device!r} cannot be used here ({reason}): leave --device out, or say --device cpu"
        ) from error
    return chosen
