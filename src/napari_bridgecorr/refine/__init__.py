"""Registration by the images themselves, on top of what landmarks gave."""

from .landmark_step import LandmarkRefinementOptions, LandmarkStep
from .landmarks import RefinedLandmarks, refine_landmarks, suggested_lengths
from .patch import View
from .working_image import WorkingImage, working_grid, working_image

__all__ = [
    "LandmarkRefinementOptions",
    "LandmarkStep",
    "RefinedLandmarks",
    "View",
    "WorkingImage",
    "refine_landmarks",
    "suggested_lengths",
    "working_grid",
    "working_image",
]
