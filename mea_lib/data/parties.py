"""Three parties that share no image: the owner trains, the adversary queries, the judge tests.

An image is the same where its pixels are the same, so a duplicate never lies on two sides.
"""

import hashlib

import torch

from mea_lib.data.images import ImageSet

DRAW_SEED = 20240115  # of the halves and their order, the same for everybody


def image_digests(images: torch.Tensor) -> list[bytes]:
    """SHA-256 of each image's pixels, in the order channel, row, column.

    Args:
        images: (N, C, H, W) uint8.
    """
    return [hashlib.sha256(image.tobytes()).digest() for image in images.cpu().contiguous().numpy()]


def split_parties(train: ImageSet, test: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Two halves of every class of the training images, for the owner and the adversary, in a drawn order.

    Duplicates stay together, and a training image that is also a test image goes to neither: it is the judge's.

    Args:
        train: labelled images.
        test: the judge's.

    Returns:
        the owner's half and the adversary's.

    Raises:
        ValueError: where a class is left with no image for one of them.
    """
    judged = set(image_digests(test.images))
    copies: dict[bytes, list[int]] = {}
    for place, digest in enumerate(image_digests(train.images)):
        if digest not in judged:
            copies.setdefault(digest, []).append(place)
    groups = list(copies.values())
    generator = torch.Generator().manual_seed(DRAW_SEED)
    order = torch.randperm(len(groups), generator=generator).tolist()
    labels = train.labels.tolist()
    halves: tuple[list[int], list[int]] = ([], [])
    turns = [0] * len(train.classes)
    for number in order:  # the classes' images go to the two in turn
        label = labels[groups[number][0]]
        halves[turns[label] % 2].extend(groups[number])
        turns[label] += 1
    short = [train.classes[label] for label, turn in enumerate(turns) if turn < 2]
    if short:
        raise ValueError(
            f"{train.name} has fewer than two different training images of {', '.join(map(repr, short))} beside the "
            "test images, so owner and adversary cannot both have one; add images, or leave these classes out"
        )
    return train.subset(halves[0]), train.subset(halves[1])
