"""Files in and out. One module per format, each the only importer of that format's library."""
