"""Registration by the images themselves, on top of what landmarks gave."""

from .working_image import WorkingImage, working_grid, working_image

__all__ = ["WorkingImage", "working_grid", "working_image"]
