"""How often a suspect's features of triggered images are decoded to the secret vector of an SSLGuard key tuple."""

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect
from mea_lib.models.sslguard import KeyTuple
from mea_lib.proof.rates import Rate

NEAR = 0.5  # cosine


def secret_vector_rate(
    suspect: Suspect, key_tuple: KeyTuple, images: Tensor | None = None, threshold: float = NEAR
) -> Rate:
    """Watermark rate (WR): share of triggered images whose decoded features have a cosine above the threshold.

    A random vector of 256 numbers has a cosine above ½ with the secret in one of 10¹⁶ draws. But the decoder is learnt,
    not drawn, and no p-value follows from that: whoever trains it after they have seen a suspect makes it say what they
    want, and encoders that took no part may be decoded to the secret too. So commit to the key tuple beforehand, and hold
    the rate against null models, among them surrogates of the clean encoder
    (`mea_lib.proof.null_models.predictive_p_value_of_rate`).

    Args:
        suspect: (N, C, H, W) uint8 images → (N, F) features; usually a `FeatureOracle`. A row with a number that is not
            finite is no answer and counts as failed.
        key_tuple: as `SSLGuard.key_tuple` gives it.
        images: (N, C, H, W) uint8 that get the trigger; None takes the key tuple's verification images.
        threshold: of the cosine.

    Raises:
        ValueError: for features of another number than the decoder reads, or a threshold that is no cosine.

    Source: SSLGuard (CCS 2022), which counts images at the threshold 0.5.
    """
    if not -1 <= threshold < 1:
        raise ValueError(f"threshold is a cosine, at least -1 and below 1, not {threshold}")
    queries = key_tuple.queries(images)
    features = torch.as_tensor(suspect(queries)).float()
    wanted = (len(queries), key_tuple.spec["features"])
    if features.shape != wanted:
        raise ValueError(
            f"the decoder reads features of the shape {wanted}, and the suspect answered {tuple(features.shape)}; "
            "it can read a surrogate only that has as many features as the victim"
        )
    answered = features.isfinite().all(1)
    hits = (key_tuple.cosines(features) > threshold) & answered
    return Rate(int(hits.sum()), len(queries), int((~answered).sum()))
