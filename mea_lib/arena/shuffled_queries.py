"""All queries of a suspect come in one shuffled stream, so that it cannot tell which of them is for which purpose.

In turn, an entry could answer the test images truly, count, and answer the watermark samples otherwise.
"""

import math

import torch
from torch import Tensor

from mea_lib.arena.contest import Contest, ContestModel
from mea_lib.arena.entry import EntryFailed
from mea_lib.arena.hidden_keys import keyed_hash
from mea_lib.blackbox import Suspect
from mea_lib.proof.planned_queries import planned_queries

SENT_TWICE = 1 / 8  # of the images
ROUNDING = 0.02  # of a probability: in another batch it is computed in another order, perhaps in bfloat16
MOST_CHANGED = 0.01  # of the images sent twice: where two classes are equally likely, rounding decides


class Transcript(Suspect):
    """The answers of a suspect that is queried no more.

    Args:
        images: (N, C, H, W) uint8, different ones.
        answers: (N, K).

    Attributes:
        remaining: 0; what was answered already costs nothing.
    """

    remaining = 0

    def __init__(self, images: Tensor, answers: Tensor) -> None:
        self._places = {content: place for place, content in enumerate(_contents(images))}
        self._answers = answers

    def cost(self, *images: Tensor) -> int:
        """How many of these images were not sent."""
        return sum(content not in self._places for part in images for content in _contents(part))

    def __call__(self, images: Tensor) -> Tensor:
        """What was answered to these images: (N, C, H, W) uint8 → (N, K).

        Raises:
            LookupError: for an image that was not sent.
        """
        if missing := self.cost(images):
            raise LookupError(f"{missing} of {len(images)} images were not among the queries")
        places = torch.tensor([self._places[content] for content in _contents(images)], dtype=torch.long)
        return self._answers[places.to(self._answers.device)].to(images.device)


def query_shuffled(suspect: Suspect, model: ContestModel, contest: Contest) -> Transcript:
    """Send all queries that accuracy and a verdict need, in an order that follows from the judge's secret.

    A share SENT_TWICE of the images is sent twice, mostly in different batches. What was made of a clean model is
    queried about a decoy, or the absence of mixes would tell that it is clean.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) probabilities.
        model: from which it was made.
        contest: its test images and keys.

    Raises:
        EntryFailed: for a suspect whose second answers are others than its first ones, beyond rounding.
    """
    key = model.key or contest.decoys[0]
    about_key = planned_queries(key, contest.test, contest.scale.verification_samples, contest.checks[key])
    images = _distinct(torch.cat([contest.test.images, *about_key.images]))  # (N, C, H, W)
    seed = int.from_bytes(keyed_hash(contest.order, model.name)[:7])
    generator = torch.Generator().manual_seed(seed)
    again = torch.randperm(len(images), generator=generator)[: math.ceil(SENT_TWICE * len(images))]
    number = torch.cat([torch.arange(len(images)), again])  # of the image in each place
    order = torch.randperm(len(number), generator=generator)
    answers = suspect(images[number[order].to(images.device)])
    unshuffled = torch.empty_like(answers)
    unshuffled[order.to(answers.device)] = answers
    first, second = unshuffled[: len(images)], unshuffled[len(images) :]
    changed = (first[again.to(answers.device)] - second).abs().amax(1) > ROUNDING
    if changed.float().mean() > MOST_CHANGED:
        raise EntryFailed(
            f"its model answers the same image differently when it is asked again ({int(changed.sum())} of "
            f"{len(again)} images); an answer must depend on the image alone"
        )
    return Transcript(images, first)


def _distinct(images: Tensor) -> Tensor:
    places = {content: place for place, content in reversed([*enumerate(_contents(images))])}
    return images[torch.tensor(sorted(places.values())).to(images.device)]


def _contents(images: Tensor) -> list[bytes]:
    return [image.tobytes() for image in images.cpu().numpy()]
