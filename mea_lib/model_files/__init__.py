"""Finished models on disk: their cards, their weights, and the folders they lie in.

Everything that reads a stored model goes through here: the store, the command line and what asks a suspect. Only
`loading` needs torch, and is imported by its name.
"""

from mea_lib.model_files.card import identity_of, read_card, sealed
from mea_lib.model_files.folders import model_lock, own_store, store_folders
from mea_lib.model_files.model_files import ModelFiles

__all__ = [
    "ModelFiles",
    "identity_of",
    "model_lock",
    "own_store",
    "read_card",
    "sealed",
    "store_folders",
]
