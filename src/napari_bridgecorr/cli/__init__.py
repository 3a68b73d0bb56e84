"""The `bridgecorr` command: the use cases without a window."""
