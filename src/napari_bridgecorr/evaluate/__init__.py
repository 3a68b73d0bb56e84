"""How good a registration is: target error against a known truth, agreement of two
registrations, what can be said of any point, overlap of outlines."""

from .inter_rater import RaterDifference, inter_rater
from .maps import (
    Folding,
    JacobianDeterminant,
    OutsideHull,
    PredictedError,
    Quantity,
    lazy_map,
)
from .overlap import dice
from .rater_sites import SiteDifferences, compare_sites
from .target_error import TargetError, fitted_among, target_error

__all__ = [
    "Folding",
    "JacobianDeterminant",
    "OutsideHull",
    "PredictedError",
    "Quantity",
    "RaterDifference",
    "SiteDifferences",
    "TargetError",
    "compare_sites",
    "dice",
    "fitted_among",
    "inter_rater",
    "lazy_map",
    "target_error",
]
