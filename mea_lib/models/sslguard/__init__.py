"""What SSLGuard adds to an encoder: the key tuple, and the model that is trained with it, one a file.

A folder of its own, since every file beside the networks takes part in every chapter and study, and these only in those
that use them.
"""

from mea_lib.models.sslguard.key_tuple import KeyTuple
from mea_lib.models.sslguard.shadowed_encoder import ShadowedEncoder, from_spec

__all__ = ["KeyTuple", "ShadowedEncoder", "from_spec"]
