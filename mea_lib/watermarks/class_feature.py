"""Class-Feature Watermark: a class of images of another domain, made to travel and to stay one cluster."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import (
    distillation_loss,
    principal_directions,
    projected_spread_loss,
    representation_similarity_loss,
    verification_loss,
)
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    Batch,
    FixedBalance,
    Objective,
    Start,
    Terms,
    TrainingSettings,
    classifier_spec,
    features_of,
    fit,
)
from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.foreign_class import ForeignClass, ForeignKey
from mea_lib.watermarks.layer_outputs import layers_with_weights, outputs_of_layers

# The released code's. Its divergence is a mean over the ten classes too, so its weight 1 is 0.1 of one in nats.
WEIGHTS = FixedBalance({"retention": 0.1, "verification": 0.02, "similarity": 0.003, "spread": 0.15})


@dataclass(frozen=True)
class ForeignSamples:
    """Draws the key's images of a step, and knows the model before it was tuned.

    Attributes:
        key: images of another domain and their class.
        number: images in a step, at most all of the key's.
        before: the model whose answers to clean images are kept.
    """

    key: ForeignKey
    number: int
    before: ImageClassifier

    def draw(self, generator: torch.Generator) -> Tensor:
        """(M, C, H, W) uint8, none of them twice."""
        chosen = torch.randperm(len(self.key.images), generator=generator)[: self.number]
        return self.key.images[chosen.to(self.key.images.device)]


@dataclass(frozen=True)
class ClassFeature(Watermark):
    """A class that does not exist, and the fine-tuning that makes it travel.

    Its key is a `ForeignKey`, as `foreign_class.choose_foreign_key` finds it with a clean model. A verification queries
    the key's own images. Its success is the share that a suspect calls the target class, or, after an adversary who
    moved the whole class, the share in the `largest_cluster` of its answers. Either counts by how far it exceeds that
    of null models, since a clean model may put images of another domain into one class, too.

    Attributes:
        balance: weights of the fine-tuning: "retention" of the answers to clean images, "verification", "similarity"
            of representations and "spread" of outputs.
        first: the training before it.
        epochs: of the fine-tuning.
        batch_size: clean images in a step of it.
        learning_rate: of Adam in it.
        blocks: last parts of the network whose outputs count as representations, beside features and logits.

    Source: Xiao et al., Class-feature Watermark (AAAI 2026, arXiv 2511.07947), after its released code, whose settings
    are for CIFAR-10 and ResNet-18; of the paper's text only summaries were read. The code shuffles the key's images
    among 50,000 clean ones, two to a batch; here a step draws the scale's `watermark_batch` of them, so that there are
    pairs in each. Its representations are those of the last residual block's layers, here those of whole blocks. The
    directions of the classes are found anew in each epoch, as there, but in evaluation mode.
    """

    balance: Balance = WEIGHTS
    first: ForeignClass = field(default_factory=ForeignClass)
    epochs: int = 10
    batch_size: int = 1024
    learning_rate: float = 5e-5
    blocks: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0 or self.blocks < 0:
            raise ValueError(
                "epochs and batch_size must be at least 1, learning_rate above 0 and blocks at least 0, "
                f"not {self.epochs}, {self.batch_size}, {self.learning_rate} and {self.blocks}"
            )

    def embed(
        self,
        train_set: ImageSet,
        key: ForeignKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: ImageClassifier | None = None,
    ) -> ImageClassifier:
        """Train with the key's class, then fine-tune. Args as `Watermark.embed`."""
        key = key.checked(train_set)
        before = self.first.train(train_set, key, scale, seed=seed, pretrained=pretrained)
        recipe = self.recipe(scale, key=key, watermark_batch=scale.watermark_batch)
        start = Start(classifier_spec(train_set, scale), before)

        def make_objective(data: ImageSet) -> Objective:
            samples = ForeignSamples(key.checked(data), scale.watermark_batch, before.to(data.images.device))
            return self.objective(data, samples)

        return fit(
            train_set, make_objective, self.training(scale).but(seed=seed), recipe, start, self.balance
        )

    def training(self, scale: Scale) -> TrainingSettings:
        """How the model is fine-tuned; the training before is the owner's."""
        return scale.owner.but(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer="adam",
            schedule="constant",
            weight_decay=0.0,
        )

    def objective(self, train_set: ImageSet, extras: ForeignSamples) -> Objective:
        """The losses of the fine-tuning, all from a single forward pass."""
        target = train_set.class_index(extras.key.target)
        directions_of = _Directions(train_set, self.epochs)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            foreign = extras.draw(batch.generator)
            targets = torch.full((len(foreign),), target, device=foreign.device)
            directions = directions_of(model, batch.progress)
            blocks = layers_with_weights(model)
            with outputs_of_layers(blocks[max(0, len(blocks) - self.blocks) :]) as seen:
                features = model.features(torch.cat([batch.images, foreign]))
            logits = model.logits(features)
            parts = [len(batch.images), len(foreign)]
            inner = [one.split(parts) for one in (*seen, features, logits)]
            with torch.no_grad():
                kept = extras.before(batch.images).softmax(1)
            clean, marked = inner[-1]
            losses = {
                "retention": distillation_loss(clean, kept),
                "verification": verification_loss(marked, targets),
                "similarity": representation_similarity_loss(
                    [one[1] for one in inner], [one[0] for one in inner]
                ),
                "spread": projected_spread_loss(marked, directions),
            }
            return Terms(losses, features)

        return objective


def largest_cluster(answers: Tensor) -> tuple[int, float]:
    """The class that most of the answers name, and the share of all answers that name it.

    It says something where null models have none of that size (`choose_foreign_key`).

    Args:
        answers: (N, K) a suspect's answers to the key's images; one whose largest number is not alone names no class.
    """
    largest, runner_up = answers.topk(2, dim=1).values.unbind(1)
    named = answers.argmax(1)[largest > runner_up]
    counts = torch.bincount(named, minlength=answers.shape[1])
    return int(counts.argmax()), int(counts.max()) / max(1, len(answers))


class _Directions:
    """The principal directions of the classes' logits, found anew as each epoch begins.

    They follow from the weights that the epoch begins with, so a training that goes on from a checkpoint finds the
    same ones.
    """

    def __init__(self, train_set: ImageSet, epochs: int) -> None:
        self.train_set = train_set
        self.epochs = epochs
        self.epoch: int | None = None
        self.found = torch.empty(0)

    def __call__(self, model: ImageClassifier, progress: float) -> Tensor:
        epoch = int(progress * self.epochs + 1e-6)
        if epoch != self.epoch:
            logits = features_of(model, self.train_set.images)
            self.found = principal_directions(logits, self.train_set.labels, len(self.train_set.classes))
            self.epoch = epoch
        return self.found
