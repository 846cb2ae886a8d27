"""Data: two shipped image sets, two that are downloaded, a folder of your own, and points in the plane."""

from diffusion_book.data.cifar10 import cifar10
from diffusion_book.data.digits import digits
from diffusion_book.data.fashion import fashion_mnist
from diffusion_book.data.folder import image_folder
from diffusion_book.data.images import ImageSet, to_bytes, to_unit
from diffusion_book.data.points import POINT_SETS

__all__ = ["POINT_SETS", "ImageSet", "cifar10", "digits", "fashion_mnist", "image_folder", "to_bytes", "to_unit"]
