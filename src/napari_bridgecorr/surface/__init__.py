"""Reference planes found in an image: the window's glass, the brain's surface."""

from .detect import DetectedPlane, detect_plane
from .options import DIRECTIONS, TARGETS, DetectOptions

__all__ = ["DIRECTIONS", "TARGETS", "DetectOptions", "DetectedPlane", "detect_plane"]
