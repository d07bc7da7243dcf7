"""Official file formats of AlpacaEval 2.0 and Arena-Hard v0.1, read strictly and written as their own tools write them.

Whatever is wrong with a file is one `UserError` that names the file, the line or row, and what to do. Nothing here
needs more than the standard library: a verdict file is small, and reading it must not cost an import of pandas.
docs/files.md lists the layouts.
"""
