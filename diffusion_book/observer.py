"""The Bayes-optimal observer: what the best possible eye still reads in x_t = alpha x + sigma eps. See chapter 1."""

import torch

from diffusion_book.errors import BookError
from diffusion_book.predictions import expand
from diffusion_book.schedules.base import Time, as_float64


class EmpiricalObserver:
    """p(c | x_t) if the pictures of a data set, each as likely as the others, were all there is.

    p(c | x_t) = sum of p_i over the pictures i of class c, p_i = softmax_i(-|x_t - alpha x_i|^2 / (2 sigma^2)).
    data (N, ...) and labels (N,) of int64. Nobody who has to tell the class from x_t is right more often than the one who
    names the most probable c. All in float64. Raises BookError for labels that do not fit and at sigma = 0.
    """

    def __init__(self, data: torch.Tensor, labels: torch.Tensor):
        if len(labels) != len(data) or labels.is_floating_point():
            raise BookError(f"one whole-number label a picture is needed, got {tuple(labels.shape)} for {len(data)}")
        self.data = data.flatten(1).double()
        self.classes = torch.nn.functional.one_hot(labels).double()  # (N, C)

    def pictures(self, x_t: torch.Tensor, alpha: Time, sigma: Time) -> torch.Tensor:
        """p_i, (B, N): which picture it is. x_t is (B, ...); alpha and sigma are numbers or (B,)."""
        x_t = x_t.flatten(1).double()
        alpha, sigma = expand(as_float64(alpha), x_t), expand(as_float64(sigma), x_t)
        return self._softmax(x_t @ self.data.T, alpha, sigma)

    def __call__(self, x_t: torch.Tensor, alpha: Time, sigma: Time) -> torch.Tensor:
        """p(c | x_t), (B, C)."""
        return self.pictures(x_t, alpha, sigma) @ self.classes

    def along(self, x: torch.Tensor, eps: torch.Tensor, logsnrs) -> torch.Tensor:
        """p(c | x_t), (L, B, C), at L log-SNRs and with the same x and eps (B, ...) at all.

        The same as calling for x_t = alpha x + sigma eps with alpha^2 = sigmoid(logsnr), sigma^2 = sigmoid(-logsnr),
        but the products with the data are formed once.
        """
        signal, noise = x.flatten(1).double() @ self.data.T, eps.flatten(1).double() @ self.data.T
        rows = []
        for logsnr in as_float64(logsnrs):
            alpha, sigma = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
            rows.append(self._softmax(alpha * signal + sigma * noise, alpha, sigma) @ self.classes)
        return torch.stack(rows)

    def _softmax(self, products, alpha, sigma):
        """From x_t . x_i: -|x_t - alpha x_i|^2/2 without its |x_t|^2/2, which is the same for all i."""
        if bool((as_float64(sigma) == 0).any()):
            raise BookError("at sigma = 0 nothing hides the picture: ask at a noise level above 0")
        return torch.softmax((alpha * products - alpha**2 * self.data.square().sum(1) / 2) / sigma**2, 1)


def two_picture_error(x: torch.Tensor, other: torch.Tensor, alpha: Time, sigma: Time) -> torch.Tensor:
    """Phi(-alpha |x - other| / (2 sigma)): how often the best observer of x_t takes one of two pictures for the other.

    Both are equally likely beforehand. |x - other| is the length of their difference, over all pixels.
    """
    distance = (x.double() - other.double()).norm()
    # by the logarithm: ndtr itself is 0 below e^-40
    return torch.special.log_ndtr(-as_float64(alpha) * distance / (2 * as_float64(sigma))).exp()


def gaussian_information(variances: torch.Tensor, logsnr: Time) -> torch.Tensor:
    """I(x; x_t) = 1/2 sum_i log(1 + l_i SNR), in nats, of Gaussian data whose variances along its axes are l_i.

    Shaped like logsnr. Source: Cover & Thomas 2006, section 9.4 (parallel Gaussian channels).
    """
    snr = as_float64(logsnr).exp()
    return torch.log1p(snr[..., None] * variances.double()).sum(-1) / 2
