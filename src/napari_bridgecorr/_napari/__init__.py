"""The window: contributions, layer adapters, jobs and widgets.

The only place with napari, Qt and magicgui. Nothing here computes: it builds frozen options, calls
the use cases and shows what comes back.
"""
