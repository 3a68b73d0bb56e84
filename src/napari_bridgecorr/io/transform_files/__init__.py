"""Transform files of this project and of others. One module per format."""

from .own_json import (
    TransformFile,
    fit_document,
    read_json_object,
    read_transform,
    transform_document,
    write_document,
)

__all__ = [
    "TransformFile",
    "fit_document",
    "read_json_object",
    "read_transform",
    "transform_document",
    "write_document",
]
