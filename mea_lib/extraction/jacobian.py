"""Extraction with Jacobian-based augmentation (Papernot et al. 2017): queries are made from older ones."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import Suspect
from mea_lib.data import ImageSet
from mea_lib.extraction.base import answered, check_some, covered, have_answers, images_of, within_budget
from mea_lib.extraction.distillation import Distillation
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training.sign_step import sign_step


@dataclass(frozen=True)
class Jacobian(Distillation):
    """Surrogates in rounds, each on the images so far and on those that the last one's Jacobian moved.

    Attributes:
        temperature, soft_weight, squared: as `Distillation`.
        seed_images: real images to start from; None takes as many as grow to the number of their images.
        rounds: times that the images are doubled.
        step: length of a step in every pixel, of the pixel range [0, 1]; λ in the paper.
        turn_every: the step's sign alternates every so many rounds (τ in the paper); None never turns.
        reservoir_from: from this round on, counted from 0, only `reservoir` of the images, drawn at random, are
            stepped from (σ in the paper); None steps from all of them in every round.
        reservoir: how many (κ in the paper).

    Source: Papernot et al., Practical Black-Box Attacks against Machine Learning (AsiaCCS 2017), Algorithm 1;
    MEA-Defender (S&P 2024), Sec. V-B.
    """

    seed_images: int | None = None
    rounds: int = 2
    step: float = 0.1
    turn_every: int | None = None
    reservoir_from: int | None = None
    reservoir: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("seed_images", "turn_every", "reservoir"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.rounds < 0:
            raise ValueError(f"rounds must be at least 0, not {self.rounds}")
        if not 0 < self.step <= 1:
            raise ValueError(f"step must lie between 0 and 1, the pixel range, not {self.step}")

    def extract(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """As `Extraction.extract`; of the queries the first are the real images that the others are made from.

        Returns:
            The last surrogate, in evaluation mode.

        Raises:
            ValueError: for more seed images than there are.
        """
        real = images_of(queries)
        check_some(real)
        start = self.seed_images or max(1, len(real) >> self.rounds)
        if start > len(real):
            raise ValueError(f"{start} seed images are more than the {len(real)} that there are; take fewer")
        generator = torch.Generator().manual_seed(seed)
        images = within_budget(real[:start], oracle)
        images, answers = answered(images, oracle(images))  # answers (M, K)
        surrogate = self.train_surrogate(images, answers, scale, seed=seed)
        for number in range(self.rounds):
            chosen = torch.arange(len(images))
            if self.reservoir_from is not None and number >= self.reservoir_from:
                chosen = torch.randperm(len(images), generator=generator)[: self.reservoir]
            turned = self.turn_every is not None and number // self.turn_every % 2
            step = -self.step if turned else self.step
            chosen = chosen.to(images.device)
            moved = sign_step(surrogate, images[chosen], answers[chosen].argmax(1), step)
            moved = moved[: covered(oracle, moved)]
            if not len(moved):
                break
            of_moved = oracle(moved)
            if not have_answers(of_moved).any():
                warnings.warn(
                    f"none of the {len(moved):,} images of round {number + 1} got an answer; it is the last",
                    stacklevel=2,
                )
                break
            moved, of_moved = answered(moved, of_moved)
            images, answers = torch.cat([images, moved]), torch.cat([answers, of_moved])
            surrogate = self.train_surrogate(images, answers, scale, seed=seed)
        return surrogate


# The first authors' adversary, who starts from a handful of images.
PAPERNOT = Jacobian(seed_images=150, rounds=6, reservoir_from=3, reservoir=400)
