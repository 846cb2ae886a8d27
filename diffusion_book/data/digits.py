"""The handwritten digits of Alpaydin and Kaynak (UCI, 1998): 1,797 grey images of 8x8 pixels."""

import torch

from diffusion_book.data.images import ImageSet, read_shipped

NAMES = tuple("0123456789")


def digits() -> ImageSet:
    """All 1,797 digits as an ImageSet: images (1797, 1, 8, 8), white strokes on black, 174 to 183 of each class.

    The source counts the dark pixels in each 4x4 block of a scan, 0 to 16; here 16 becomes white: round(255 n / 16).
    """
    arrays = read_shipped("digits.npz")
    images = (torch.from_numpy(arrays["x"]).float() * 255 / 16).round().to(torch.uint8)
    return ImageSet(images[:, None], torch.from_numpy(arrays["y"]).long(), NAMES)
