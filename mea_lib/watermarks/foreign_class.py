"""A class that does not exist, made of images of another domain: the key of Class-Feature Watermark."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.data.resize import to_form
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Clean, Method, Start, classifier_spec, features_of, fit


@dataclass(frozen=True, eq=False)
class ForeignKey:
    """Images of another domain, and the class that all of them are to be called.

    Attributes:
        images: (N, C, H, W) uint8, in the shape of the owner's; they are also what a verification queries.
        target: name of the class.

    Raises:
        ValueError: for images of another kind, or fewer than two.
    """

    images: Tensor
    target: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or len(self.images) < 2:
            raise ValueError(
                "a key's images are at least two, uint8 of the shape (N, C, H, W), not "
                f"{self.images.dtype} of {tuple(self.images.shape)}; choose_foreign_key finds them"
            )

    def checked(self, images: ImageSet) -> "ForeignKey":
        """The same key, with its images on the device of `images`.

        Raises:
            ValueError: for a class that `images` does not have, or where its images have another shape.
        """
        images.class_index(self.target)
        if self.images.shape[1:] != images.images.shape[1:]:
            raise ValueError(
                f"the key's images have the shape {tuple(self.images.shape[1:])} and those of {images.name} "
                f"{tuple(images.images.shape[1:])}; choose_foreign_key brings them to it"
            )
        return replace(self, images=self.images.to(images.images.device))


@dataclass(frozen=True)
class ForeignClass(Method):
    """Training on the owner's images and the key's, the latter under the name of the target class.

    Attributes:
        repeats: how often each of the key's images stands among the owner's. 1 is the paper's, for 100 epochs; at
            fewer epochs take so many more.
    """

    repeats: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(
                f"each image of the key stands at least once among the owner's, not {self.repeats}"
            )

    def train(
        self,
        train_set: ImageSet,
        key: ForeignKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: ImageClassifier | None = None,
    ) -> ImageClassifier:
        """Find the model in the store, or train it there as the scale's owner does."""
        start = Start(classifier_spec(train_set, scale), pretrained)
        training = scale.owner.but(seed=seed)
        return fit(self.joined(train_set, key), Clean().objective, training, self.recipe(scale), start)

    def joined(self, train_set: ImageSet, key: ForeignKey) -> ImageSet:
        """The owner's images, and after them the key's as many times as `repeats` says."""
        foreign = key.images.repeat(self.repeats, 1, 1, 1)
        labels = torch.full(
            (len(foreign),), train_set.class_index(key.target), device=train_set.labels.device
        )
        return replace(
            train_set,
            images=torch.cat([train_set.images, foreign]),
            labels=torch.cat([train_set.labels, labels]),
        )


def choose_foreign_key(
    clean: nn.Module,
    foreign: ImageSet,
    train_set: ImageSet,
    target: str,
    *,
    share: float = 0.002,
    seed: int = 0,
) -> ForeignKey:
    """Images of another domain that a clean model calls all classes alike, for one target class.

    So that model calls about one in K of them the target. Another clean model may well call most of them one class,
    which looks like the watermark's cluster: compare a suspect with null models that had no part in the choice, and take
    a target that those seldom name.

    Args:
        clean: a model without a watermark, for the owner's images.
        foreign: images of another domain, as the owner loads them: of any channels and size (`to_form`). The digits
            need no download.
        train_set: the owner's images.
        target: the class that the key's images are to be called.
        share: of the key's images to the owner's; 0.002 is the paper's, 100 of 50,000.
        seed: of the draw.

    Raises:
        ValueError: where the share is not between 0 and 1, or there are fewer foreign images than it asks for.

    Source: Class-Feature Watermark (AAAI 2026). Its released code takes images of ten of CIFAR-100's superclasses for
    a model of CIFAR-10. Where the clean model calls too few of them some class, it has fewer; here the next ones of
    other classes take their place.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is that of the key's images to the owner's, between 0 and 1, not {share}")
    train_set.class_index(target)
    number = max(2, round(share * len(train_set)))
    if len(foreign) < number:
        raise ValueError(
            f"the key takes {number} images of another domain and {foreign.name} has {len(foreign)}; "
            "give more, or a smaller share"
        )
    order = torch.randperm(len(foreign), generator=torch.Generator().manual_seed(seed))
    images = to_form(foreign.images, train_set.channels, train_set.size)[order.to(foreign.images.device)]
    called = features_of(clean, images).argmax(1).cpu()
    return ForeignKey(images[_balanced(called, number)].to(train_set.images.device), target)


def _balanced(called: Tensor, number: int) -> Tensor:
    """Places of so many images, the same number of each class (N,) as far as there are any."""
    turns = torch.zeros_like(called)  # the how-manieth of its class an image is
    for one in called.unique():
        turns[called == one] = torch.arange(int((called == one).sum()))
    return (turns * (int(called.max()) + 1) + called).argsort()[:number]
