"""How good a registration is: target error against a known truth, overlap of outlines."""

from .overlap import dice
from .target_error import TargetError, target_error

__all__ = ["TargetError", "dice", "target_error"]
