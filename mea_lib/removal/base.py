"""What every removal is: an attack on a watermark in a model whose weights are at hand; a new model is made."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.removal.own_images import OwnImages, own_images
from mea_lib.scale import Scale
from mea_lib.seeded import seeded
from mea_lib.training import Method, Objective, TrainingSettings, best_device, find_or_make, train
from mea_lib.training.store import weights_digest


@dataclass(frozen=True)
class Removal(Method, ABC):
    """A removal: `remove` makes a new model and leaves the given one as it was."""

    @abstractmethod
    def remove(
        self, model: ImageClassifier, images: ImageSet | Tensor, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """Find what this removal makes of a model in the store, or make it there.

        Args:
            model: a victim or a surrogate; it is not changed.
            images: labelled images, such as held-out ones, or the adversary's own queries (M, C, H, W) uint8,
                which the model labels itself.
            scale: gives the adversary's training, from which that of a fine-tuning follows.
            seed: of every draw.

        Returns:
            The new model on the best device, in evaluation mode, with its `card`.

        Raises:
            ValueError: for images that do not suit the model, or a model that is no plain classifier, such as an
                encoder or a quantised model.
        """


@dataclass(frozen=True)
class ChangedCopy(Removal, ABC):
    """A removal that changes a copy of the model."""

    def remove(
        self, model: ImageClassifier, images: ImageSet | Tensor, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """As `Removal.remove`."""
        check_is_plain(model)
        at_hand = self.own_images(images, model)
        training = self.training(scale).but(seed=seed)
        recipe = self.recipe(
            scale,
            model=weights_digest(model),
            spec=model.spec,
            images=at_hand.recipe() if at_hand else None,
            training=training if at_hand else None,
        )
        return find_or_make(recipe, lambda: self.change(copy_of(model), at_hand, training))

    def own_images(self, images: ImageSet | Tensor, model: ImageClassifier) -> OwnImages | None:
        """The adversary's images, after a check that they suit the model and this removal."""
        return own_images(images, model)

    def training(self, scale: Scale) -> TrainingSettings:
        """How the model is trained on."""
        return scale.fine_tuning

    @abstractmethod
    def change(
        self, model: ImageClassifier, images: OwnImages, training: TrainingSettings
    ) -> ImageClassifier:
        """Make the new model of a copy, which is on the best device and in evaluation mode.

        What takes time, such as answers to many images, belongs in here: it is not called where the store has the
        model. Where the copy's layers become others, its `spec` must follow; a `history` goes to the card.
        """

    def train_on(
        self, model: ImageClassifier, images: Tensor, objective: Objective, training: TrainingSettings
    ) -> ImageClassifier:
        """The model itself, trained on these images, with its history."""
        on_device = images.to(best_device())
        model.history = train(model, on_device, objective, training, title=type(self).__name__).to_dict()
        return model


@dataclass(frozen=True)
class FineTuning(ChangedCopy, ABC):
    """A removal that trains the model on, with an objective of its own.

    Attributes:
        epochs: None takes an adversary's of the scale.
        learning_rate: the highest; None takes a tenth of an adversary's.
    """

    epochs: int | None = None
    learning_rate: float | None = None

    def training(self, scale: Scale) -> TrainingSettings:
        """How the model is trained on."""
        usual = scale.fine_tuning
        given = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        return usual.but(**{name: value for name, value in given.items() if value is not None})

    def change(
        self, model: ImageClassifier, images: OwnImages, training: TrainingSettings
    ) -> ImageClassifier:
        """Train the copy on."""
        return self.train_on(model, images.data.images, self.objective(model, images), training)

    @abstractmethod
    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """The losses on a batch of the adversary's images; what the model says of them is asked here, before."""


def copy_of(model: ImageClassifier) -> ImageClassifier:
    """The same classifier with weights of its own, on the best device and in evaluation mode."""
    check_is_plain(model)
    duplicate = build_from_spec(model.spec)
    duplicate.load_state_dict(model.state_dict())
    return duplicate.to(best_device()).eval()


def fresh_head(model: ImageClassifier, classes: int, seed: int) -> nn.Linear:
    """An output layer with random weights for the features of `model`, on its device."""
    with seeded(seed):
        head = nn.Linear(model.head.in_features, classes)
    return head.to(model.head.weight.device)


def check_is_plain(model: nn.Module) -> None:
    """
    Raises:
        ValueError: for a model that is no plain classifier.
    """
    spec = getattr(model, "spec", {"kind": type(model).__name__})
    if "kind" in spec:
        raise ValueError(
            f"a removal changes a classifier that mea_lib.models.build made, not a model of the kind "
            f"{spec['kind']!r}; pass the classifier itself"
        )
