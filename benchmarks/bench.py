"""What the package costs, as ratios measured in one run: `make bench`."""

import statistics
import time
from itertools import pairwise

import torch
from torch import nn

from diffusion_book.denoiser import Denoiser
from diffusion_book.predictions import EPS
from diffusion_book.samplers import ddim
from diffusion_book.schedules import Discrete, betas

ROUNDS, STEPS = 200, 50
WANTED = 0.2


class Trivial(nn.Module):
    """A network that costs next to nothing: it returns what it is given."""

    def forward(self, x, t, cond=None):
        return x


@torch.no_grad()
def step_overhead() -> None:
    """What a DDIM step costs beyond its network, against DDIMScheduler.step of diffusers.

    Both walk the same times over the same x, in turn; each is timed by the processor's time of its own thread, which a
    busy machine disturbs least. The network alone, called in the same way, is taken off both.
    """
    try:
        from diffusers import DDIMScheduler
    except ImportError:
        print('step overhead: diffusers is not installed (pip install "diffusion-book[peers]")')
        return
    torch.set_num_threads(1)
    net, step = Trivial(), ddim()
    scheduler = DDIMScheduler(1000, 1e-4, 0.02, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(STEPS)
    denoiser = Denoiser(net, Discrete(betas.linear()), EPS)
    times = [1 - i / STEPS for i in range(STEPS)] + [0.0]

    def network(x):
        for t in scheduler.timesteps:
            net(x, t.expand(len(x)))

    def book(x):
        for t, s in pairwise(times):
            x = step(denoiser, x, t, s, {}, None)
        return x

    def diffusers(x):
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t.expand(len(x))), t, x).prev_sample
        return x

    print(
        f"a DDIM step on a trivial network: microseconds beyond the network (wanted: at most {WANTED:g} of diffusers')"
    )
    print(f"{'shape of x':>18}  {'book':>6}  {'diffusers':>9}  {'ratio':>5}")
    for shape in [(1, 1, 8, 8), (4, 3, 32, 32)]:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(book(x), diffusers(x), rtol=1e-3, atol=1e-3)
        rounds = []
        for _ in range(ROUNDS):
            bare = microseconds(network, x)
            rounds.append((microseconds(book, x) - bare, microseconds(diffusers, x) - bare))
        ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(a / b for a, b in rounds)
        print(f"{str(shape):>18}  {ours:6.1f}  {theirs:9.1f}  {ratio:5.3f}")


def microseconds(walk, x) -> float:
    """Processor time of one step of a walk over STEPS."""
    start = time.thread_time()
    walk(x)
    return (time.thread_time() - start) / STEPS * 1e6


def main() -> None:
    step_overhead()


if __name__ == "__main__":
    main()
