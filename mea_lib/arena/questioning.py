"""A suspect is asked everything in one shuffled stream, so that it cannot tell what is asked for which purpose.

Asked in turn, an entry could answer the test images truly, count, and answer the watermark samples otherwise.
"""

import math

import torch
from torch import Tensor

from mea_lib.arena.entry import EntryFailed
from mea_lib.arena.hidden_keys import lot
from mea_lib.arena.stage import Arena, Exhibit
from mea_lib.blackbox import Suspect
from mea_lib.proof.planned_queries import planned_queries

AGAIN = 1 / 8  # of the images are asked a second time
ROUNDING = (
    0.02  # of a probability: an image in another batch is computed in another order, perhaps in bfloat16
)
MOST_CHANGED = 0.01  # of the images asked twice: where two classes are equally likely, rounding decides


class Transcript(Suspect):
    """The answers of a suspect that is asked no more.

    Args:
        images: (N, C, H, W) uint8, different ones.
        answers: (N, K).

    Attributes:
        remaining: 0; what was asked already costs nothing.
    """

    remaining = 0

    def __init__(self, images: Tensor, answers: Tensor) -> None:
        self._places = {content: place for place, content in enumerate(_contents(images))}
        self._answers = answers

    def cost(self, *images: Tensor) -> int:
        """How many of these images were not asked."""
        return sum(content not in self._places for part in images for content in _contents(part))

    def __call__(self, images: Tensor) -> Tensor:
        """What was answered to these images: (N, C, H, W) uint8 → (N, K).

        Raises:
            LookupError: for an image that was not asked.
        """
        if missing := self.cost(images):
            raise LookupError(f"{missing} of {len(images)} images were not among those that were asked")
        places = torch.tensor([self._places[content] for content in _contents(images)], dtype=torch.long)
        return self._answers[places.to(self._answers.device)].to(images.device)


def question(suspect: Suspect, exhibit: Exhibit, arena: Arena) -> Transcript:
    """Ask a suspect all that accuracy and a verdict need, in an order that follows from the judge's secret.

    A share AGAIN of the images is asked twice, mostly in different batches. What was made of a clean model is asked
    about a decoy, or the absence of mixes would tell that it is clean.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) probabilities.
        exhibit: from which it was made.
        arena: its test images and keys.

    Raises:
        EntryFailed: for a suspect whose second answers are others than its first ones, beyond rounding.
    """
    key = exhibit.key or arena.decoys[0]
    asked = planned_queries(key, arena.test, arena.scale.verification_samples, arena.checks[key])
    images = _distinct(torch.cat([arena.test.images, *asked.images]))  # (N, C, H, W)
    drawn = int.from_bytes(lot(arena.order, exhibit.name)[:7])
    generator = torch.Generator().manual_seed(drawn)
    again = torch.randperm(len(images), generator=generator)[: math.ceil(AGAIN * len(images))]
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
