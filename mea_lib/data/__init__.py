"""Images on the training device as uint8, where they come from, how two become one, and the watermark's key."""

from mea_lib.data.combine import WAYS, Way, combine, ways_to_mix
from mea_lib.data.folders import image_folder
from mea_lib.data.images import Data, ImageSet
from mea_lib.data.key import WatermarkKey, new_salt
from mea_lib.data.mixes import (
    other_ways,
    random_mixes,
    watermark_pairs,
    watermark_samples,
)
from mea_lib.data.sources import load
from mea_lib.names import SCHEMES

__all__ = [
    "SCHEMES",
    "WAYS",
    "Data",
    "ImageSet",
    "WatermarkKey",
    "Way",
    "combine",
    "image_folder",
    "load",
    "new_salt",
    "other_ways",
    "random_mixes",
    "watermark_pairs",
    "watermark_samples",
    "ways_to_mix",
]
