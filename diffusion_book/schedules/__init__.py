"""Noise schedules: (alpha(t), sigma(t)) with their rates, log-SNR and forward SDE. See chapter 1."""

from diffusion_book.schedules import betas
from diffusion_book.schedules.base import Schedule
from diffusion_book.schedules.continuous import EDM, VE, VP, Cosine, LinearPath, SubVP
from diffusion_book.schedules.discrete import Discrete
from diffusion_book.schedules.transformed import Learned, Shifted

__all__ = ["EDM", "VE", "VP", "Cosine", "Discrete", "Learned", "LinearPath", "Schedule", "Shifted", "SubVP", "betas"]
