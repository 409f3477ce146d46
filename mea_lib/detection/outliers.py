"""Watermark inputs as outliers among the features of ordinary images.

Source: Breunig et al., LOF (SIGMOD 2000); MEA-Defender (S&P 2024), Sec. V-G, finds 2.94 % of the watermark inputs so,
at the price of 2.32 % accuracy.
"""

from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.defences.outlier_detector import OutlierDetector
from mea_lib.detection.screening import Screening, screen
from mea_lib.models import ImageClassifier


def detect(
    model: ImageClassifier,
    clean_images: Tensor,
    marked: Tensor,
    test: ImageSet,
    *,
    false_positives: float = 0.025,
    seed: int = 0,
) -> Screening:
    """Flag what lies apart from ordinary images in the last features.

    Args:
        model: its features are looked at; it is in evaluation mode from then on.
        clean_images: (M, C, H, W) uint8, at least 80: half of them are learnt, the threshold is set on the others.
        marked: (N, C, H, W) uint8 watermark inputs.
        test: clean images that are not among the first.
        false_positives: share of the second half that may be flagged.
        seed: of the halves.

    Raises:
        ValueError: for too few images, or a rate below 0 or not below 1.
    """
    return screen(OutlierDetector(model, clean_images, false_positives, seed), model, marked, test)
