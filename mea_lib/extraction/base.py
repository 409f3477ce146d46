"""What every extraction is: query a model, keep the answers, train a surrogate on them."""

import hashlib
import warnings
from abc import ABC, abstractmethod
from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mea_lib.blackbox import Suspect
from mea_lib.blackbox.suspect import check_probabilities
from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.models.encoder import Encoder
from mea_lib.models.encoder import from_spec as encoder_from_spec
from mea_lib.scale import Scale
from mea_lib.training import Method, Objective, Start, TrainingSettings, classifier_spec, encoder_spec, fit
from mea_lib.training.plain import as_plain


@dataclass(frozen=True)
class Extraction(Method, ABC):
    """An attack on a model through its API, which ends in a surrogate."""

    @abstractmethod
    def extract(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, *, seed: int = 0
    ) -> nn.Module:
        """Query the victim and train a surrogate on what it answers.

        Every image that is sent is one query. A budget that is too small is spent to the end, and what it paid for is
        used. The answers decide which stored surrogate is found, so the queries are sent (and counted) again each time.
        Images without an answer, rows with NaN, are left out, and a warning says how many.

        Args:
            oracle: the victim's API.
            queries: (M, C, H, W) uint8, the adversary's own images; their labels, if they have any, are the
                adversary's and need not be the victim's.
            scale: gives the adversary's training, network and width.
            seed: of what is drawn for the queries, of the surrogate's weights and of the order of images.

        Returns:
            The surrogate, in evaluation mode.

        Raises:
            BudgetSpent: when the budget is 0.
            ValueError: where there is no image to query with, or none gets an answer.
        """


@dataclass(frozen=True)
class AskThenTrain(Extraction, ABC):
    """An extraction that has all answers before it trains."""

    def extract(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, *, seed: int = 0
    ) -> nn.Module:
        """As `Extraction.extract`: `ask`, then `train_surrogate`."""
        images, answers = self.ask(oracle, queries, scale, seed)
        return self.train_surrogate(images, answers, scale, seed=seed)

    def ask(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, seed: int
    ) -> tuple[Tensor, Tensor]:
        """The images that are trained on, (M, C, H, W) uint8, and the answers to them, in this order."""
        images = within_budget(images_of(queries), oracle)
        return answered(images, oracle(images))

    @abstractmethod
    def train_surrogate(self, images: Tensor, answers: Tensor, scale: Scale, *, seed: int = 0) -> nn.Module:
        """Train a surrogate on answers that are there already."""

    @abstractmethod
    def objective(self, answers: Tensor) -> Objective:
        """The surrogate's losses on a batch, given the victim's answers to all images, on the training device."""


@dataclass(frozen=True)
class ClassifierExtraction(AskThenTrain, ABC):
    """An extraction of a classifier: answers are soft labels (M, K), or hard ones as one-hot rows."""

    def train_surrogate(
        self, images: Tensor, answers: Tensor, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """Train a surrogate on answers (M, K) that are there already.

        Its card names the training, which attacks may share, and its `attack` this method with all settings.

        Raises:
            ValueError: for answers that are not rows of probabilities, one of each image, or hold NaN.
        """
        if answers.ndim != 2 or len(answers) != len(images):
            raise ValueError(
                f"{len(images)} images need as many rows of answers, not answers of the shape {tuple(answers.shape)}; "
                "pass on what the oracle answered, in the order of the images"
            )
        check_answered(answers)
        check_probabilities(
            answers,
            "where they are logits say so with as_suspect(…, answers='logits'), or query through an Oracle",
        )
        names = tuple(map(str, range(answers.shape[1])))
        query_set = ImageSet(images, answers.argmax(1).to(images.device), names, "queries")
        surrogate = fit(
            query_set,
            lambda data: self.objective(answers.to(data.images.device)),
            scale.adversary.but(seed=seed),
            self.trained_by().recipe(scale, answers=answers_digest(answers)),
            Start(classifier_spec(query_set, scale)),
        )
        surrogate.attack = as_plain(self)
        return surrogate

    def trained_by(self) -> "ClassifierExtraction":
        """The method that trains in the same way and has no other settings: by it the store finds the surrogate."""
        return self


@dataclass(frozen=True)
class EncoderExtraction(AskThenTrain, ABC):
    """An extraction of an encoder: answers are features (M, F), or (M, V, F) for V views of each image.

    The surrogate has as many features as the victim answers with: the network's own where they are as many, else those
    of a linear layer behind it. Its projection head is never used and stays as it was drawn.
    """

    def training(self, scale: Scale) -> TrainingSettings:
        """How the surrogate is trained; without the loop's own augmentation where the objective makes views."""
        return scale.encoder_surrogate

    def train_surrogate(self, images: Tensor, answers: Tensor, scale: Scale, *, seed: int = 0) -> Encoder:
        """Train a surrogate on features that are there already.

        Raises:
            ValueError: for answers that are not features of these images, row by row, or hold NaN.
        """
        if answers.ndim not in (2, 3) or len(answers) != len(images):
            raise ValueError(
                f"{len(images)} images need as many rows of features, not answers of the shape "
                f"{tuple(answers.shape)}; pass on what the oracle answered, in the order of the images"
            )
        check_answered(answers)
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        query_set = ImageSet(images, labels, ("unlabelled",), "queries")
        wanted = answers.shape[-1]
        features = None if wanted == network_features(query_set, scale) else wanted
        return fit(
            query_set,
            lambda data: self.objective(answers.to(data.images.device)),
            self.training(scale).but(seed=seed),
            self.recipe(scale, answers=answers_digest(answers)),
            Start(encoder_spec(query_set, scale, features)),
        )


def images_of(queries: Tensor | ImageSet) -> Tensor:
    """The images (M, C, H, W) alone."""
    return queries.images if isinstance(queries, ImageSet) else queries


def check_some(images: Tensor) -> None:
    """Check that there is an image to query with.

    Raises:
        ValueError: for none.
    """
    if not len(images):
        raise ValueError("there are no images to query with; pass at least one")


def have_answers(answers: Tensor) -> Tensor:
    """Which of these rows (M, …) are answers: (M,) bool. One with NaN is none, as of any `Suspect`."""
    return ~answers.isnan().flatten(1).any(1)


def answered(images: Tensor, answers: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """The images (M, C, H, W) that got an answer and the answers (M, …); both themselves where all did.

    Args:
        others: (M, …), what else belongs to the images, of which the same rows are returned.

    Raises:
        ValueError: where none got an answer.
    """
    heard = have_answers(answers)
    note_unanswered(len(heard) - int(heard.sum()), len(heard))
    if heard.all():
        return images, answers, *others
    return tuple(part[heard.to(part.device)] for part in (images, answers, *others))


def note_unanswered(unanswered: int, images: int) -> None:
    """Warn of images that got no answer; ValueError where not one did."""
    if unanswered and unanswered == images:
        raise ValueError(
            f"none of the {images:,} images got an answer, so there is nothing to learn from; see the victim's failures"
        )
    if unanswered:
        warnings.warn(f"{unanswered:,} of {images:,} images got no answer and are left out", stacklevel=3)


def check_answered(answers: Tensor) -> None:
    """Check that each row is an answer.

    Raises:
        ValueError: for rows with NaN, or no row.
    """
    if not len(answers):
        raise ValueError("there are no answers to train a surrogate on; pass at least one")
    silent = len(answers) - int(have_answers(answers).sum())
    if silent:
        raise ValueError(
            f"{silent:,} of {len(answers):,} answers hold NaN, which is no answer; leave these images out"
        )


def covered(oracle: Suspect, *parts: Tensor) -> int:
    """How many rows of these parts, (M, C, H, W) each, the budget covers from the first on: known answers are free."""
    if oracle.remaining is None:
        return len(parts[0])
    numbers = range(1, len(parts[0]) + 1)
    return bisect_right(numbers, oracle.remaining, key=lambda n: oracle.cost(*(part[:n] for part in parts)))


def within_budget(images: Tensor, oracle: Suspect) -> Tensor:
    """The first images that the budget covers; where it covers none, one that is left to the oracle to refuse.

    Raises:
        ValueError: where there are no images.
    """
    check_some(images)
    return images[: max(covered(oracle, images), 1)]


def network_features(images: ImageSet, scale: Scale) -> int:
    """How many features the scale's network has without a linear layer behind it."""
    spec = encoder_spec(images, scale)
    with torch.device("meta"):  # shapes without numbers
        return encoder_from_spec(spec).size


def answers_digest(answers: Tensor) -> str:
    """SHA-256 of a table of answers and its shape; rounded, so that it does not hang on the last bits.

    A surrogate's recipe holds it, so that the store finds it again by the same answers only.
    """
    rounded = answers.detach().cpu().double().mul(1e6).round().to(torch.int64)
    return hashlib.sha256(repr(tuple(answers.shape)).encode() + rounded.numpy().tobytes()).hexdigest()
