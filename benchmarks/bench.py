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

    Both walk the same times over the same x, in turn with each one's bare network calls and with the same update written
    by hand. Timed is the processor's time of this thread, which a busy machine disturbs least.
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

    def book(x):
        for t, s in pairwise(times):
            x = step(denoiser, x, t, s, {}, None)
        return x

    def book_network(x):
        for t, _ in pairwise(times):
            net(x, torch.full((len(x),), t))

    def diffusers(x):
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t.expand(len(x))), t, x).prev_sample
        return x

    def diffusers_network(x):
        for t in scheduler.timesteps:
            net(x, t.expand(len(x)))

    def by_hand(x):
        for t, _ in pairwise(times):
            x_hat = (0.9 * x).sub_(net(x, torch.full((len(x),), t)), alpha=0.1)
            x = (0.9 * x).add_(x_hat, alpha=0.1)

    print(
        f"a DDIM step on a trivial network: microseconds beyond the network (wanted: at most {WANTED:g} of diffusers')"
    )
    print(f"{'shape of x':>18}  {'by hand':>7}  {'book':>6}  {'diffusers':>9}  {'book/diffusers':>14}")
    for shape in [(1, 1, 8, 8), (4, 3, 32, 32)]:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(book(x), diffusers(x), rtol=1e-3, atol=1e-3)
        rounds = []
        for _ in range(ROUNDS):
            ours, theirs = microseconds(book_network, x), microseconds(diffusers_network, x)
            hand = microseconds(by_hand, x) - ours
            rounds.append((hand, microseconds(book, x) - ours, microseconds(diffusers, x) - theirs))
        columns = [statistics.median(column) for column in zip(*rounds, strict=True)]
        ratio = statistics.median(book / diffusers for _, book, diffusers in rounds)
        print(f"{str(shape):>18}  {columns[0]:7.1f}  {columns[1]:6.1f}  {columns[2]:9.1f}  {ratio:14.3f}")


def microseconds(walk, x) -> float:
    """Processor time of one step of a walk over STEPS."""
    start = time.thread_time()
    walk(x)
    return (time.thread_time() - start) / STEPS * 1e6


def main() -> None:
    step_overhead()


if __name__ == "__main__":
    main()
