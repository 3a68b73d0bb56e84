"""napari-bridgecorr: correlative registration of one sample imaged with two instruments."""
