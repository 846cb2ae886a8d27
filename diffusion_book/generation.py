"""Many samples at once: batches, seeds and labels around the one loop of `samplers`."""

import torch
from tqdm import tqdm

from diffusion_book.denoiser import PosteriorMean
from diffusion_book.errors import BookError
from diffusion_book.hardware import autocast
from diffusion_book.noise import Noise
from diffusion_book.samplers import Step, prior, sample


@torch.no_grad()
def generate(
    denoiser: PosteriorMean,
    shape: tuple[int, ...],
    n: int,
    times,
    step: Step,
    *,
    labels: torch.Tensor | None = None,
    seed: int = 0,
    batch: int = 250,
    device="cpu",
    bf16: bool = False,
    progress: bool = False,
) -> torch.Tensor:
    """n samples (n, *shape) on the CPU, float32. Sample i depends on (seed, i) and its label, not on the batch.

    labels: int64 (n,) or None. bf16 runs the network, not the sampler, in bfloat16 where the device gains by it:
    faster, and no longer the same to the last bit in every batch. Raises BookError for n < 1.
    """
    if n < 1:
        raise BookError(f"at least 1 sample must be asked for, but got {n}")
    times, done = [float(t) for t in times], []
    with tqdm(total=n, desc="sampling", unit=" images", disable=not progress, leave=False) as bar:
        for first in range(0, n, batch):
            size = min(batch, n - first)
            noise = Noise(seed, (size, *shape), first=first, device=device)
            bound = denoiser if labels is None else denoiser.given(labels[first : first + size].to(device))
            with autocast(torch.device(device), bf16):
                done.append(sample(bound, prior(denoiser.schedule, noise, times[0]), times, step, noise).cpu())
            bar.update(size)
    return torch.cat(done)
