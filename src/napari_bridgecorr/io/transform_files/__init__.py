"""Transform files of this project and of others. One module per format."""

from .own_json import (
    file_of_document,
    fit_document,
    read_json_object,
    transform_document,
    write_document,
    write_fit,
)
from .read import is_transform_file, read_transform
from .transform_file import TransformFile
from .write import write_transform

__all__ = [
    "TransformFile",
    "file_of_document",
    "fit_document",
    "is_transform_file",
    "read_json_object",
    "read_transform",
    "transform_document",
    "write_document",
    "write_fit",
    "write_transform",
]
