"""The use cases: what the command line and the window call. No printing, no widgets.

One module per use case; import the one you need (`workflow.images`, `.landmarks`, `.tables`,
`.reports`, `.replay`, `.demo`), so that nothing heavy is loaded for the others.
"""
