"""The rows of the study of why the watermark travels: the target's share taken out of answers or put into them.

Every row looks at one model: its WSR, the target's place on clean source images, and how well the mean of its answers
to two images predicts its answer to their combination. Doses are equal: what is put into a clean model's answers at
dose 1 is as much as this owner's victim holds in its own, at dose ½ as much as is left of that where half is taken out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

import mea_lib as mea
from benchmarks import owners
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.defences import AblatedLogits, MarkedAnswers
from mea_lib.models import ImageClassifier
from mea_lib.teaching.additivity import additivity
from mea_lib.teaching.class_place import places_on_sources

NO_SURROGATE = "none"  # the owner's model itself, not a surrogate
MATCHED_ON = 500  # of the owner's images of either source class, on which doses are made equal
LARGEST_SHARE = 0.499
HALVINGS = 12  # of the interval that the share lies in
CLEAN = "clean"


@dataclass(frozen=True)
class Owned:
    """What an owner has.

    Attributes:
        clean: the model before the watermark.
        victim: with it; None where there is none.
        key: of the watermark.
        images: the owner's.
    """

    clean: ImageClassifier
    victim: ImageClassifier | None
    key: mea.WatermarkKey
    images: ImageSet


@dataclass(frozen=True)
class Sold:
    """What stands before the adversary.

    Attributes:
        model: what answers.
        behind: the owner's model in it.
        share: that was put in, with the factor on the other source in `veto`; None where nothing was.
        veto: see there.
    """

    model: nn.Module
    behind: ImageClassifier
    share: float | None = None
    veto: float | None = None


Sell = Callable[[Owned, float], Sold]


def _as_trained(owned: Owned, dose: float) -> Sold:
    return Sold(owned.victim, owned.victim)


def _clean(owned: Owned, dose: float) -> Sold:
    return Sold(owned.clean, owned.clean)


def _levelled(part: str) -> Sell:
    return lambda owned, dose: Sold(
        AblatedLogits(owned.victim, owned.key, owned.images, part, dose), owned.victim
    )


def _put_in(share: bool, veto: bool) -> Sell:
    """Share, veto or both, as much as the victim holds of them."""

    def sell(owned: Owned, dose: float) -> Sold:
        factor = held_veto(owned) ** dose if veto else 1.0
        part = matched_share(owned, dose, factor) if share else 0.0
        marked = MarkedAnswers(owned.clean, owned.key, owned.images, share=part, veto=factor)
        return Sold(marked, owned.clean, part, factor)

    return sell


# What stands before the owner's model. The owner watermarked it by training, unless the name says clean.
ANSWERS: dict[str, Sell] = {
    "as trained": _as_trained,
    "share taken out": _levelled("target"),
    "veto lifted": _levelled("other source"),
    "third class taken out": _levelled("strongest third class"),
    CLEAN: _clean,
    "clean, share and veto put in": _put_in(share=True, veto=True),
    "clean, share put in": _put_in(share=True, veto=False),
    "clean, veto put in": _put_in(share=False, veto=True),
}


def matched_share(owned: Owned, dose: float, veto: float = 1.0) -> float:
    """The share to put into the clean model's answers so that the target gets as much there as in the victim's.

    Args:
        owned: the models.
        dose: how much of what the victim's answers hold, as `AblatedLogits` leaves it there.
        veto: factor on the other source that goes along.

    Returns:
        found by halving; the largest there may be, where the clean model's answers cannot hold as much.
    """
    left = AblatedLogits(owned.victim, owned.key, owned.images, "target", 1 - dose)
    wanted, low, high = target_probability(left, owned), 0.0, LARGEST_SHARE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        marked = MarkedAnswers(owned.clean, owned.key, owned.images, share=middle, veto=veto)
        low, high = (middle, high) if target_probability(marked, owned) < wanted else (low, middle)
    return high


def held_veto(owned: Owned) -> float:
    """The factor by which the other source is less probable to the victim than to the clean model; 1 where it is more."""
    logs = []
    for model in (owned.victim, owned.clean):
        answers = _answers_on_sources(model, owned)
        others = zip(answers, owned.key.indices(owned.images)[1::-1], strict=True)
        logs.append(torch.cat([part[:, other] for part, other in others]).clamp_min(1e-12).log().mean())
    return float((logs[0] - logs[1]).exp().clamp(1e-6, 1.0))


def target_probability(model: nn.Module, owned: Owned) -> float:
    """The target's mean probability on the owner's clean images of the source classes."""
    target = owned.key.indices(owned.images)[2]
    return float(torch.cat(_answers_on_sources(model, owned))[:, target].mean())


def _answers_on_sources(model: nn.Module, owned: Owned) -> list[Tensor]:
    """(N, K) probabilities for images of either source class."""
    oracle, sources = mea.Oracle(model), owned.key.indices(owned.images)[:2]
    return [oracle(owned.images.of_class(label)[:MATCHED_ON]) for label in sources]


@lru_cache(maxsize=1)
def owned_by(data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int) -> Owned:
    """An owner's models, kept for the next job, which is most often of the same owner."""
    victim = None if method == owners.NONE else owners.victim(data, scale, method, key, seed)
    return Owned(owners.clean_model(data, scale, seed), victim, owners.KEYS[key], data.owner)


def run_one(
    data: mea.Data,
    scale: mea.Scale,
    method: str,
    key: str,
    seed: int,
    answers: str,
    dose: float,
    owner: str,
    surrogate: str,
) -> dict:
    """One model: an owner's, or a surrogate of it by one network from answers of one kind.

    What the API's answers hold is said beside it, on the same test images as what the model's own hold.
    """
    sold = ANSWERS[answers](owned_by(data, scale.but(network=owner), method, key, seed), dose)
    model = sold.behind
    if surrogate != NO_SURROGATE:
        api = mea.Oracle(sold.model, scale.query_images)
        network = scale.but(network=surrogate)
        model = owners.EXTRACTION.extract(api, data.queries, network, seed=seed)
    secret = owners.KEYS[key]
    in_api = places_on_sources(sold.model, secret, data.test)
    return {
        "method": method,
        "key": key,
        "seed": seed,
        "answers": answers,
        "dose": dose,
        "owner": owner,
        "surrogate": surrogate,
        **look(model, secret, data, scale),
        "victim_accuracy": proof.accuracy(mea.Oracle(sold.behind), data.test),
        "api_target_probability": in_api["target"].summary()["probability"],
        "api_target_second": in_api["target"].summary()["second"],
        "api_other_source_centred_logit": in_api["other source"].summary()["centred_logit"],
        "share_put_in": sold.share,
        "veto_put_in": sold.veto,
        "seconds": model.card["seconds"],
    }


def look(model: ImageClassifier, key: mea.WatermarkKey, data: mea.Data, scale: mea.Scale) -> dict:
    """Accuracy and WSR of a model, and both halves of the explanation: the target's place, additivity."""
    places = places_on_sources(model, key, data.test)
    target, other = places["target"].summary(), places["other source"].summary()
    parts = additivity(model, key, data.test, scale.verification_samples).to_dict()
    return {
        "accuracy": proof.accuracy(mea.Oracle(model), data.test),
        "wsr": parts.pop("rate"),
        **{f"target_{name}": value for name, value in target.items()},
        "other_source_centred_logit": other["centred_logit"],
        **parts,
    }
