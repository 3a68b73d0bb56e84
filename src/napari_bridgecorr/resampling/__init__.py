"""Image + transform + grid -> image, block by block."""

from .resample import resample
from .sampler import INTERPOLATIONS, Block, PullSampler

__all__ = ["INTERPOLATIONS", "Block", "PullSampler", "resample"]
