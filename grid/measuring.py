"""What a row says of a model: accuracy, WSR, WFPR of other arrangements, mixes of other pairs, verdict."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

import mea_lib as mea
from grid.task import key_of, scale_of
from mea_lib import proof
from mea_lib.teaching import places_on_sources
from mea_lib.training import fit_linear_probe
from mea_lib.watermarks.base import autoencoder_of

LABELLED = 10_000  # images of an encoder's probe
PAIR_SAMPLES = 30  # mixes of every other pair, of which a row says the mean over all pairs


def measure(
    model: nn.Module, task: Mapping[str, Any], data: mea.Data, clean: Sequence[nn.Module] = ()
) -> dict[str, Any]:
    """Numbers of one model under the key of its job.

    Args:
        model: a classifier; an encoder is measured through a linear probe on the owner's labelled images.
        task: of the plan; it has a key.
        data: the judge's images are its `test`.
        clean: clean classifiers, which the verdict compares the key with as null models.

    Returns:
        accuracy and WSR; WFPR by arrangement; the mean rate of mixes of other pairs; verdict; of a classifier also
        the mean probabilities that clean source images give to the key's classes.
    """
    key = key_of(task)
    if task["encoders"]:
        labelled = min(LABELLED, len(data.owner))
        model = fit_linear_probe(model, data.owner, images=labelled)
    oracle, autoencoder = mea.Oracle(model), autoencoder_of(key, data.owner, scale_of(task))
    plan = mea.Plan(samples=max(scale_of(task).verification_samples, mea.Plan().samples))
    evidence = mea.verify_ownership(oracle, key, data.test, plan=plan, clean=clean, autoencoder=autoencoder)
    wsr, wfpr = evidence.wsr, evidence.wfpr
    if evidence.stopped:  # before the first watermark sample, as where a model does not know the task
        wsr = proof.watermark_success_rate(oracle, key, data.test, plan.samples, autoencoder)
        wfpr = proof.wrong_firing_rates(oracle, key, data.test, plan.samples)
    pairs = proof.other_pairs_rates(oracle, key, data.test, PAIR_SAMPLES)
    places = {} if task["encoders"] else places_on_sources(model, key, data.test)
    return {
        "accuracy": proof.accuracy(oracle, data.test),
        "wsr": wsr.value,
        "wfpr": {way: _number(rate.value) for way, rate in wfpr.items()},
        "other_pairs": _number(float(np.nanmean(pairs))),
        "verdict": evidence.verdict,
        "on_sources": {part: place.summary()["probability"] for part, place in places.items()},
    }


def _number(value: float) -> float | None:
    """A number that JSON knows."""
    return None if math.isnan(value) else value
