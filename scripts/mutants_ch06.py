"""Planted errors of chapter 6, one at least for each of its numbered equations."""

from mutant import Mutant

TESTS = "test_ch06.py"

MUTANTS = [
    Mutant(
        "likelihood.py",
        "return -divergence - (velocity * gradient).flatten(1).sum(1)",
        "return divergence - (velocity * gradient).flatten(1).sum(1)",
        TESTS,
        "ch06 continuity: sign of the divergence",
        "eq-continuity",
    ),
    Mutant(
        "likelihood.py",
        "return -divergence - (velocity * gradient).flatten(1).sum(1)",
        "return -divergence",
        TESTS,
        "ch06 continuity: what flows past is forgotten",
        "eq-continuity",
    ),
    Mutant(
        "denoiser.py",
        "return expand(alpha_rate, x_t) * x_hat + expand(sigma_rate, x_t) * self._noise(x_t, t, x_hat)",
        "return expand(alpha_rate, x_t) * x_hat + 2 * expand(sigma_rate, x_t) * self._noise(x_t, t, x_hat)",
        TESTS,
        "ch06 ODE: the noise's push not halved",
        "eq-flow-ode",
    ),
    Mutant(
        "likelihood.py",
        "moved = (x.to(l) - alpha_t * gaussian.mean) @ U * ratio.sqrt() @ U.T",
        "moved = (x.to(l) - alpha_t * gaussian.mean) @ U * ratio @ U.T",
        TESTS,
        "ch06 Gaussian flow: root forgotten",
        "eq-gaussian-flow",
    ),
    Mutant(
        "likelihood.py",
        "(alpha_s * gaussian.mean + moved).to(x), (ratio.log().sum() / 2).item()",
        "(alpha_s * gaussian.mean + moved).to(x), (-ratio.log().sum() / 2).item()",
        TESTS,
        "ch06 Gaussian flow: log det of the inverse",
        "eq-gaussian-flow",
    ),
    Mutant(
        "likelihood.py",
        "left, right = torch.sin((1 - w) * angle) / torch.sin(angle), torch.sin(w * angle) / torch.sin(angle)",
        "left, right = (1 - w) + 0 * angle, w + 0 * angle",
        TESTS,
        "ch06 slerp: the chord",
        "eq-slerp",
    ),
    Mutant(
        "likelihood.py",
        "return self.prior + self.volume",
        "return self.prior - self.volume",
        TESTS,
        "ch06 instantaneous: sign of the volume",
        "eq-instantaneous",
    ),
    Mutant(
        "likelihood.py",
        "return divergence(lambda y: denoiser.velocity(y, t), state[0])",
        "return divergence(lambda y: denoiser.velocity(y, t) / 2, state[0])",
        TESTS,
        "ch06 instantaneous: half of the velocity",
        "eq-instantaneous",
    ),
    Mutant(
        "divergence.py",
        "lambda x, pull: (pull(v) * v).flatten(1).sum(1)",
        "lambda x, pull: pull(v).flatten(1).sum(1)",
        TESTS,
        "ch06 Hutchinson: the probe on one side only",
        "eq-flow-trace",
    ),
    Mutant(
        "divergence.py",
        "(2 * torch.randint(0, 2, x.shape, generator=generator) - 1).to(x)",
        "(2 * torch.randint(0, 2, x.shape, generator=generator) - 1).to(x) * 1.2",
        TESTS,
        "ch06 Hutchinson: probes without E[v v^T] = I",
        "eq-flow-trace",
    ),
    Mutant(
        "elbo.py",
        "(sigma / alpha) ** 2 if variance is None else variance",
        "sigma / alpha if variance is None else variance",
        TESTS,
        "ch06 decoder: deviation for variance",
        "eq-gaussian-decoder",
    ),
    Mutant(
        "likelihood.py",
        "return bits_per_dim(-self.log_p, self.code[0].numel(), scaling_offset(scale))",
        "return bits_per_dim(-self.log_p, self.code[0].numel(), -scaling_offset(scale))",
        TESTS,
        "ch06 bits: sign of the offset",
        "eq-flow-bits",
    ),
]
