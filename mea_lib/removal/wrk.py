"""WRK (2025): blur the boundaries that watermark samples sit at, and learn an output layer unlike the old one."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.base import ChangedCopy, fresh_head
from mea_lib.removal.own_images import OwnImages, own_images
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Terms, TrainingSettings
from mea_lib.training.sign_step import sign_step

# The authors' training but for its schedule. Theirs falls along a cosine from the first epoch; the loop's one-cycle
# rises for a quarter of the steps before it falls so, and moves the momentum between 0.85 and 0.95 meanwhile.
ORIGINAL_TRAINING = TrainingSettings(
    epochs=10,
    batch_size=32,
    learning_rate=1e-3,
    weight_decay=0.0,
    momentum=0.9,
    optimizer="sgd",
    schedule="one-cycle",
    augment=False,
)


@dataclass(frozen=True)
class WRK(ChangedCopy):
    """All layers are fine-tuned under a new output layer, on clean images and on some that are moved and wrongly labelled.

    Attributes:
        moved: clean images that are moved and wrongly labelled.
        step: by which every pixel moves, in standard deviations of its channel (normalised input units); the
            authors take 1 to 3.
        weight: α of the term that pushes the new output layer away from the old; the authors take 0.01 to 0.1.
        lowest_label: number of the first class that a wrong label may be. The released code has 1, and so never calls
            an image its first class, which is the target class of most watermarks that it is tried on.
        tuning: the authors' training by default. They have 2,500 images, 5 % of the training images, and so 80 steps an
            epoch: fewer images need more epochs or a higher rate.

    Source: arXiv 2511.07947, Watermark Removal attacK, as its released code has it, with these differences. There
    all images of a batch are moved towards one class, and the wrong labels leave out the first class (here with
    `lowest_label` 1). There moved images come in whole batches of 32, 128 of them where 100 are asked for, and are not clipped; here they are images
    that anybody could have, with pixels from 0 to 255. There the clean images are mirrored and cropped once, before
    the training; here they stay as they are.
    """

    moved: int = 100
    step: float = 2.0
    weight: float = 0.01
    lowest_label: int = 0
    tuning: TrainingSettings = ORIGINAL_TRAINING

    def __post_init__(self) -> None:
        if self.moved < 1 or self.step <= 0 or self.weight < 0 or self.lowest_label < 0:
            raise ValueError(
                "moved must be at least 1, step above 0, weight and lowest_label at least 0, "
                f"not {self.moved}, {self.step}, {self.weight} and {self.lowest_label}"
            )

    def own_images(self, images: ImageSet | Tensor, model: ImageClassifier) -> OwnImages:
        """The adversary's images, after a check that they suit the model and are enough."""
        at_hand = own_images(images, model)
        if self.moved > len(at_hand.data):
            raise ValueError(
                f"{self.moved} images cannot be moved of {len(at_hand.data)}; pass more, or set moved lower"
            )
        return at_hand

    def training(self, scale: Scale) -> TrainingSettings:
        """How the model is trained on."""
        return self.tuning

    def change(
        self, model: ImageClassifier, images: OwnImages, training: TrainingSettings
    ) -> ImageClassifier:
        """Move images, put a new output layer on the copy, and train it on."""
        data = images.labelled(model)
        mixed = self.with_moved_images(model, data, torch.Generator().manual_seed(training.seed))
        before = model.head.weight.detach().clone()  # (K, F)
        model.head = fresh_head(model, len(data.classes), training.seed)
        return self.train_on(model, mixed.images, wrk_objective(mixed.labels, before, self.weight), training)

    def with_moved_images(
        self, model: ImageClassifier, data: ImageSet, generator: torch.Generator
    ) -> ImageSet:
        """The clean images, and behind them copies of some, moved towards random classes and wrongly labelled at random."""
        device, classes = data.images.device, len(data.classes)
        chosen = torch.randperm(len(data), generator=generator)[: self.moved].to(device)
        towards = torch.randint(classes, (self.moved,), generator=generator).to(device)
        wrong = wrong_labels(data.labels[chosen], classes, self.lowest_label, generator)
        moved = sign_step(model, data.images[chosen], towards, self.step * model.std)
        return replace(data, images=torch.cat([data.images, moved]), labels=torch.cat([data.labels, wrong]))


def wrong_labels(labels: Tensor, classes: int, lowest: int, generator: torch.Generator) -> Tensor:
    """For each label (N,) another class, drawn from the number `lowest` on.

    Raises:
        ValueError: where fewer than two classes are left to draw from.
    """
    number = classes - lowest
    if number < 2:
        raise ValueError(f"of {classes} classes {number} are left from {lowest} on; set lowest_label lower")
    turned = 1 + torch.randint(number - 1, labels.shape, generator=generator).to(labels.device)
    wrong = lowest + (labels - lowest + turned) % number
    if lowest == 0:
        return wrong
    any_class = lowest + torch.randint(number, labels.shape, generator=generator).to(labels.device)
    return torch.where(labels < lowest, any_class, wrong)


def wrk_objective(labels: Tensor, before: Tensor, weight: float) -> Objective:
    """Cross-entropy to the labels (M,), and α·Σ(W ⊙ W_before) for the output layer's weights W (K, F)."""
    targets = F.one_hot(labels, len(before)).float()  # (M, K)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        return Terms(
            {
                "utility": utility_loss(model(batch.images), targets[batch.index]),
                "likeness": weight * (model.head.weight * before).sum(),
            }
        )

    return objective
