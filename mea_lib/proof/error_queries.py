"""Images that a model gets wrong, and where these are too few, mixes and mirror images of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import NO_CLASS, Suspect, most_probable
from mea_lib.data import ImageSet

ROUNDS = 50  # of mixes, before a model has too few errors to be filled up from


@dataclass(frozen=True)
class ErrorQueries:
    """What a model gets wrong, and what it says instead.

    Attributes:
        images: (N, C, H, W) uint8.
        answers: (N,) the classes that the model names.
        natural: how many of them, from the first on, are images as they were; the others were made of these.
    """

    images: Tensor
    answers: Tensor
    natural: int

    def __len__(self) -> int:
        return len(self.images)


def error_queries(victim: Suspect, images: ImageSet, number: int = 100, *, seed: int = 0) -> ErrorQueries:
    """Images that a model takes for a class they are not of.

    Where they are fewer than `number`, they are filled up with CutMix of two of them, and with its mirror images, left
    to right and upside down. One of these counts as an error where the model names neither class it was made of.

    Args:
        victim: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts.
        images: labelled, and best such as nobody trained on: on its training images a model errs little, and what it
            does there may be what everybody who had them does.
        number: how many are wanted.
        seed: draws the images and mixes.

    Raises:
        ValueError: for a number below 1, and where the model has too few errors to make so many of.

    Source: QuRD (AAAI 2025): AKH's negative queries. Its released code fills up with CutMix and its mirror images
    without a look at what the victim calls them, so that some are no errors; here they are.
    """
    if number < 1:
        raise ValueError(f"the number of queries must be at least 1, not {number}")
    generator = torch.Generator().manual_seed(seed)
    labels, named = images.labels.cpu(), most_probable(victim(images.images)).cpu()
    wrong = ((named != labels) & (named != NO_CLASS)).nonzero()[:, 0]
    wrong = wrong[torch.randperm(len(wrong), generator=generator)][:number]
    errors, classes = images.images[wrong.to(images.images.device)], labels[wrong]
    found, answers = [errors], [named[wrong]]
    for _ in range(ROUNDS if len(errors) > 1 else 0):
        if sum(map(len, found)) >= number:
            break
        other = torch.randperm(len(errors), generator=generator)
        mixed = cut_mix(errors, errors[other.to(errors.device)], generator)
        for mixes in (mixed, mixed.flip(3), mixed.flip(2)):
            called = most_probable(victim(mixes)).cpu()
            is_error = (called != classes) & (called != classes[other]) & (called != NO_CLASS)
            is_error &= other != torch.arange(len(other))  # an image mixed with itself is no mix
            found.append(mixes[is_error.to(mixes.device)])
            answers.append(called[is_error])
    queries, called = torch.cat(found)[:number], torch.cat(answers)[:number]
    if len(queries) < number:
        raise ValueError(
            f"the model gets {len(errors)} of {len(images)} images of {images.name} wrong, of which no {number} queries "
            f"can be made, only {len(queries)}; pass more images, or ask for fewer queries"
        )
    return ErrorQueries(queries, called, len(errors))


def cut_mix(first: Tensor, second: Tensor, generator: torch.Generator) -> Tensor:
    """CutMix: a box of every second image is put on the first, at the same place: (N, C, H, W).

    The box has the images' proportions and an area of 1 − λ of theirs, with λ drawn from 0 to 1, and its centre lies
    anywhere, so that a part of it may be cut off.

    Args:
        first: (N, C, H, W).
        second: (N, C, H, W).
        generator: draws one box for each pair.

    Source: Yun et al., CutMix (ICCV 2019), with α = 1.
    """
    number, _, height, width = first.shape
    share, row, column = torch.rand(3, number, generator=generator).to(first.device)
    half = share.sqrt() / 2  # of a side of the box, over the side of the image; 1 − λ is as likely as λ
    rows, columns = (torch.arange(size, device=first.device) + 0.5 for size in (height, width))
    in_rows = (rows / height - row[:, None]).abs() < half[:, None]  # (N, H)
    in_columns = (columns / width - column[:, None]).abs() < half[:, None]  # (N, W)
    box = in_rows[:, None, :, None] & in_columns[:, None, None, :]  # (N, 1, H, W)
    return torch.where(box, second, first)
