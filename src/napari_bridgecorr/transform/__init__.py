"""Maps from fixed to moving world micrometres (pull direction), their inverses and their JSON."""

from .affine import Affine
from .base import Chain, InvertedTransform, Transform
from .codecs import transform_from_dict
from .field import DisplacementField
from .graph import TransformGraph
from .thin_plate import ThinPlateSpline

__all__ = [
    "Affine",
    "Chain",
    "DisplacementField",
    "InvertedTransform",
    "ThinPlateSpline",
    "Transform",
    "TransformGraph",
    "transform_from_dict",
]
