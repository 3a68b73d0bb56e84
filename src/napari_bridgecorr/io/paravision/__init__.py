"""Bruker ParaVision: reconstructed images (2dseq with visu_pars).

Why there is no library behind it: of those that read ParaVision, brkraw is under the GPL, which a
BSD project cannot depend on; bruker2nifti has rested since 2019; brukerapi (MIT, kept well) loads a
whole image to give a part of it and answers damaged files with tracebacks. The format is a list of
parameters and an array, so this package reads both itself, and the tests compare it with brukerapi.
"""

from __future__ import annotations

from .reader import ParaVisionReader

__all__ = ["ParaVisionReader"]
