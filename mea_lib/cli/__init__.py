"""The command line `mea`: a command a file, and what they share in the other files.

What needs torch is imported inside the commands, so that help and completion are there at once.
"""

from mea_lib.cli.program import app, main

__all__ = ["app", "main"]
