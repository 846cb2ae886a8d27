"""The divergence of a vector field, div F = sum_i dF_i/dx_i, exactly or by random probes. See chapters 4 and 6.

Each function takes a field and points x (B, ...) and returns (F(x), div F (B,)). A row's field may depend on that row
only. Where gradients are on (in training) both can be differentiated again; under `torch.no_grad()` nothing is kept.
"""

from collections.abc import Callable

import torch

from diffusion_book.errors import BookError

Field = Callable[[torch.Tensor], torch.Tensor]
Divergence = Callable[[Field, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def exact(field: Field, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The trace of the Jacobian, entry by entry: one backward pass for each of a row's D numbers."""

    def trace(x, pull):
        total = x.new_zeros(len(x))
        for i in range(x[0].numel()):
            unit = torch.zeros_like(x).flatten(1)
            unit[:, i] = 1
            total = total + pull(unit.view_as(x)).flatten(1)[:, i]
        return total

    return _with_backward(field, x, trace)


def hutchinson(probe: Callable[[torch.Tensor], torch.Tensor]) -> Divergence:
    """v^T J v for a random v like x with E[v v^T] = I: unbiased, and one backward pass whatever D.

    `probe(x)` draws v: `rademacher` or `gaussian`. For the symmetric part S of J the variance of one probe is
    2 |S|_F^2 with Gaussian probes, and 2 (|S|_F^2 - sum_i S_ii^2), never more, with signs.
    Source: Hutchinson 1990; in this place, Grathwohl et al. 2019, eq. 7.
    """

    def estimate(field, x):
        v = probe(x)
        return _with_backward(field, x, lambda x, pull: (pull(v) * v).flatten(1).sum(1))

    return estimate


def rademacher(generator: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
    """Probes of independent signs, -1 or 1."""
    return lambda x: (2 * torch.randint(0, 2, x.shape, generator=generator) - 1).to(x)


def gaussian(generator: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
    """Probes of N(0, I)."""
    return lambda x: torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)


def fixed(v: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same probe at every call: within one trajectory of an ODE the estimate must be a function of x and t."""

    def probe(x):
        if v.shape != x.shape:
            raise BookError(f"the probe is {tuple(v.shape)}, but the points are {tuple(x.shape)}")
        return v.to(x)

    return probe


def _with_backward(field, x, trace):
    """(F(x), trace(x, v -> J^T v)), with gradients on for as long as it takes."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        y = field(x)
        if y.shape != x.shape:
            raise BookError(f"a field has as many entries as its points: got {tuple(y.shape)} at {tuple(x.shape)}")
        if not y.requires_grad:  # a constant field
            return y, x.new_zeros(len(x))

        def pull(v):
            (product,) = torch.autograd.grad(y, x, v, retain_graph=True, create_graph=keep, materialize_grads=True)
            return product

        div = trace(x, pull)
    return (y, div) if keep else (y.detach(), div.detach())
