"""``python -m napari_bridgecorr.cli``."""

import sys

from .main import main

sys.exit(main())
