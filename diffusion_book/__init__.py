"""The code of the diffusion textbook: schedules, denoisers, samplers, and the models trained with them."""

__version__ = "0.1.0"
