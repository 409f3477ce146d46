"""What a row says of a model: accuracy, WSR, WFPR of other arrangements, mixes of other pairs, verdict."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

import mea_lib as mea
from grid.making import key_of, scale_of
from mea_lib import proof
from mea_lib.teaching import places_on_sources
from mea_lib.training import fit_linear_probe
from mea_lib.watermarks.base import autoencoder_of

LABELLED = 10_000  # images of an encoder's probe


def measure(model: nn.Module, task: Mapping[str, Any], data: mea.Data) -> dict[str, Any]:
    """Numbers of one model under the key of its job.

    Args:
        model: a classifier; an encoder is measured through a linear probe on the owner's labelled images.
        task: of the plan; it has a key.
        data: the judge's images are its `test`.

    Returns:
        accuracy and WSR; WFPR by arrangement; the mean rate of mixes of other pairs; verdict; of a classifier also
        the mean probabilities that clean source images give to the key's classes.
    """
    key = key_of(task)
    if task["encoders"]:
        labelled = min(LABELLED, len(data.owner))
        model = fit_linear_probe(model, data.owner, images=labelled)
    asked, autoencoder = mea.Oracle(model), autoencoder_of(key, data.owner, scale_of(task))
    samples = scale_of(task).verification_samples
    wsr = proof.watermark_success_rate(asked, key, data.test, samples, autoencoder)
    wrong = proof.wrong_firing_rates(asked, key, data.test, samples)
    pairs = proof.other_pairs_rates(asked, key, data.test)
    evidence = mea.verify_ownership(asked, key, data.test, autoencoder=autoencoder)
    places = {} if task["encoders"] else places_on_sources(model, key, data.test)
    return {
        "accuracy": proof.accuracy(asked, data.test),
        "wsr": wsr.value,
        "wfpr": {way: _number(rate.value) for way, rate in wrong.items()},
        "other_pairs": _number(float(np.nanmean(pairs))),
        "verdict": evidence.verdict,
        "on_sources": {part: place.summary()["probability"] for part, place in places.items()},
    }


def _number(value: float) -> float | None:
    """A number that JSON knows."""
    return None if math.isnan(value) else value
