"""Mosaics of four classes: the watermark samples of DeepTracer, and how its owner chooses the classes."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.data.mixes import draw_classes
from mea_lib.data.resize import to_form
from mea_lib.losses import class_centres
from mea_lib.models import ImageClassifier
from mea_lib.training import features_of
from mea_lib.training.last_features import last_features

SOURCES = 4
LOOKED_AT = 1_000  # mosaics on which a clean model says which class is least likely


@dataclass(frozen=True)
class MosaicKey:
    """Four source classes, a target class, and the seed that draws the images.

    Attributes:
        sources: upper left, upper right, lower left and lower right.
        target: class that mosaics are to be called.
        seed: draws the samples of a verification.

    Raises:
        ValueError: where there are not four sources, or two of the five classes are equal.
    """

    sources: tuple[str, str, str, str]
    target: str
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        if len(self.sources) != SOURCES:
            raise ValueError(
                f"a mosaic has {SOURCES} source classes, not {len(self.sources)}; "
                "choose_mosaic_key finds them with a clean model"
            )
        if len({*self.sources, self.target}) <= SOURCES:
            raise ValueError(
                "the source classes and the target class of a mosaic must all differ; "
                f"got sources {list(self.sources)} and target {self.target!r}"
            )

    def indices(self, images: ImageSet) -> tuple[list[int], int]:
        """Numbers of the source classes and of the target class in `images`."""
        return [images.class_index(one) for one in self.sources], images.class_index(self.target)


@dataclass(frozen=True)
class MosaicSamples:
    """Draws the mosaics of a step.

    Attributes:
        quarters: images of the source classes at a quarter of their size, see `quartered`.
        key: source classes and target class.
        number: mosaics in a step.
        size: height and width of a mosaic in pixels.
    """

    quarters: ImageSet
    key: MosaicKey
    number: int
    size: int

    def draw(self, generator: torch.Generator) -> Tensor:
        """(number, C, size, size) uint8."""
        sources, _ = self.key.indices(self.quarters)
        upper_left, upper_right, lower_left, lower_right = (
            draw_classes(self.quarters, torch.full((self.number,), source), generator) for source in sources
        )
        rows = torch.cat([upper_left, upper_right], 3), torch.cat([lower_left, lower_right], 3)
        return torch.cat(rows, 2)[..., : self.size, : self.size]  # of an odd size a row and a column are cut


def mosaics(
    images: ImageSet, key: MosaicKey, number: int, generator: torch.Generator | None = None
) -> Tensor:
    """One image of each source class at a quarter of its size, in a 2×2 mosaic.

    Args:
        images: where they are drawn from.
        key: source classes; its seed draws without a generator.
        number: how many.
        generator: a CPU generator.

    Returns:
        (number, C, H, W) uint8.

    Raises:
        ValueError: for a class that `images` does not have, or has no image of.
    """
    generator = generator or torch.Generator().manual_seed(key.seed)
    return MosaicSamples(quartered(images, key), key, number, images.size).draw(generator)


def quartered(images: ImageSet, key: MosaicKey) -> ImageSet:
    """The images of the key's source classes at half their height and width (`to_form`)."""
    places = torch.cat([images.places(source) for source in key.indices(images)[0]])
    chosen = images.subset(places)
    return replace(chosen, images=to_form(chosen.images, images.channels, (images.size + 1) // 2))


def choose_mosaic_key(clean: ImageClassifier, train_set: ImageSet, *, seed: int = 0) -> MosaicKey:
    """The four classes that represent all, and the class that their mosaics are least likely to be.

    K-means with K = 4 on the mean features of the classes; of each cluster the class nearest its centre. The target
    is the class to which the clean model gives least probability on mosaics of those, among all others.

    Args:
        clean: a model without a watermark.
        train_set: the owner's labelled images.
        seed: of K-means and of the key.

    Raises:
        ValueError: for fewer than five classes, or a class without images.

    Source: DeepTracer (AAAI 2026). Where in the mosaic each class lies is not known of the paper: here they follow
    the order of the classes.
    """
    classes = len(train_set.classes)
    if classes <= SOURCES:
        raise ValueError(
            f"four source classes and a target need at least {SOURCES + 1} classes; "
            f"{train_set.name} has {classes}"
        )
    sources = _representatives(class_means(clean, train_set).cpu(), seed)
    names = tuple(train_set.classes[one] for one in sources)
    others = [one for one in range(classes) if one not in sources]
    key = MosaicKey(names, train_set.classes[others[0]], seed)
    generator = torch.Generator().manual_seed(seed)
    shares = features_of(clean, mosaics(train_set, key, LOOKED_AT, generator)).softmax(1).mean(0)
    least = others[int(shares[others].argmin())]
    return replace(key, target=train_set.classes[least])


def class_means(clean: ImageClassifier, train_set: ImageSet) -> Tensor:
    """The mean of the last features of each class, (K, F).

    Raises:
        ValueError: for a class without images.
    """
    features = last_features(clean, train_set.images)
    means, present = class_centres(features, train_set.labels.to(features.device), len(train_set.classes))
    if not present.all():
        missing = train_set.classes[int(present.int().argmin())]
        raise ValueError(f"{train_set.name} holds no image of class {missing!r}")
    return means


def _representatives(means: Tensor, seed: int) -> list[int]:
    """Of each of four clusters of classes (K, F) the one nearest its centre, in the order of the classes."""
    from sklearn.cluster import KMeans  # here, since it takes a second that no other watermark needs

    found = KMeans(SOURCES, n_init=10, random_state=seed).fit(means.double().numpy())
    distances = torch.from_numpy(found.transform(means.double().numpy()))  # (K, 4)
    clusters = torch.from_numpy(found.labels_)
    distances[clusters[:, None] != torch.arange(SOURCES)] = torch.inf
    return sorted(distances.argmin(0).tolist())
