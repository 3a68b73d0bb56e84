"""Maps from fixed to moving world micrometres (pull direction), their inverses and their JSON."""

from .affine import Affine
from .base import Chain, InvertedTransform, Transform
from .codecs import transform_from_dict
from .field import DisplacementField
from .graph import Edge, LoopClosure, Route, TransformGraph
from .kernel_map import KernelMap
from .section import SectionPlacement
from .simplify import simplified, steps_of
from .thin_plate import ThinPlateSpline

__all__ = [
    "Affine",
    "Chain",
    "DisplacementField",
    "Edge",
    "InvertedTransform",
    "KernelMap",
    "LoopClosure",
    "Route",
    "SectionPlacement",
    "ThinPlateSpline",
    "Transform",
    "TransformGraph",
    "simplified",
    "steps_of",
    "transform_from_dict",
]
