"""Changes to every input, in the hope that a watermark minds them more than the task does."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect, accuracy, most_probable
from mea_lib.data import ImageSet

Transform = Callable[[Tensor, float, torch.Generator | None], Tensor]


def gaussian_noise(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Normal noise on every pixel.

    Args:
        images: (N, C, H, W) uint8.
        strength: its standard deviation, as a share of white.
        generator: a CPU generator.
    """
    _check(images, strength)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return (images + 255 * strength * noise).round().clamp(0, 255).to(torch.uint8)


def jpeg(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Through a JPEG file and back.

    Args:
        images: (N, C, H, W) uint8, C is 1 or 3.
        strength: 100 less the file's quality, from 0 to 99; at 0 little is lost, but not nothing.
        generator: not used.
    """
    _check(images, strength, 99)
    if not len(images):
        return images.clone()
    quality = 100 - round(strength)
    decoded = [_through_jpeg(image, quality) for image in images.permute(0, 2, 3, 1).cpu().numpy()]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous().to(images.device)


def blur(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian blur.

    Args:
        images: (N, C, H, W) uint8.
        strength: its standard deviation in pixels; 0 leaves the images as they are.
        generator: not used.
    """
    _check(images, strength)
    if strength == 0:
        return images.clone()
    largest = min(images.shape[2:]) - 1  # what can be reflected at the edges
    reach = min(max(1, round(3 * strength)), largest)
    from torchvision.transforms import functional as transforms  # here, since it takes two seconds

    return transforms.gaussian_blur(images, 2 * reach + 1, strength)


def crop_and_resize(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Cut off the margins and enlarge what is left to the old size.

    Args:
        images: (N, C, H, W) uint8.
        strength: share of height and of width that is cut off, half of it on either side; one pixel is kept at 1.
        generator: not used.
    """
    _check(images, strength, 1)
    size = list(images.shape[2:])
    kept = [max(1, round((1 - strength) * pixels)) for pixels in size]
    top, left = ((whole - part) // 2 for whole, part in zip(size, kept, strict=True))
    from torchvision.transforms import functional as transforms

    return transforms.resized_crop(images, top, left, *kept, size, antialias=True)


TRANSFORMS: dict[str, Transform] = {
    "gaussian noise": gaussian_noise,
    "jpeg": jpeg,
    "blur": blur,
    "crop and resize": crop_and_resize,
}


@dataclass(frozen=True)
class CurvePoint:
    """What is left after one change of every input.

    Attributes:
        strength: of the transform; None where the inputs stay as they are.
        accuracy: share of clean test images that get their own class.
        wsr: share of watermark samples that get the target class.
    """

    strength: float | None
    accuracy: float
    wsr: float


@dataclass(frozen=True)
class RobustnessCurve:
    """What changes of growing strength cost the task, and what they cost the watermark.

    Attributes:
        unchanged: where the inputs stay as they are.
        points: one for each strength, the weakest first.
    """

    unchanged: CurvePoint
    points: tuple[CurvePoint, ...]

    def at_cost(self, points: float) -> CurvePoint:
        """The strongest change that a user of the model would accept.

        Args:
            points: the largest loss of accuracy, in percentage points.

        Raises:
            ValueError: where every strength costs more.
        """
        lost = {point: self.unchanged.accuracy - point.accuracy for point in self.points}
        costs = {point: round(100 * share, 3) for point, share in lost.items()}  # float32 ends here
        affordable = [point for point, cost in costs.items() if cost <= points]
        if not affordable:
            tried = ", ".join(f"{point.strength}: {cost:.1f}" for point, cost in costs.items())
            raise ValueError(
                f"no strength costs at most {points} points of accuracy; add weaker ones. Tried: {tried}"
            )
        return affordable[-1]


def robustness_curve(
    suspect: Suspect,
    test: ImageSet,
    samples: Tensor,
    target: int,
    transform: Transform,
    strengths: Iterable[float],
    seed: int = 0,
) -> RobustnessCurve:
    """Change all inputs, ever more strongly, and see what the task and the watermark lose.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers; queried once with the images as they are and once
            for each strength.
        test: labelled clean images.
        samples: (M, C, H, W) uint8 watermark samples.
        target: number of the class that they are to get.
        transform: one of `TRANSFORMS`, or another of that form.
        strengths: to try.
        seed: of the noise, drawn anew for each strength.

    Raises:
        ValueError: without a strength.
    """
    strengths = sorted(strengths)
    if not strengths:
        raise ValueError("there is no strength to try; pass at least one")

    def point(strength: float | None, change: Callable[[Tensor], Tensor]) -> CurvePoint:
        changed = replace(test, images=change(test.images))
        hits = most_probable(suspect(change(samples))) == target
        return CurvePoint(strength, accuracy(suspect, changed), hits.float().mean().item())

    def changes(strength: float) -> Callable[[Tensor], Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return lambda images: transform(images, strength, generator)

    return RobustnessCurve(
        point(None, lambda images: images),
        tuple(point(strength, changes(strength)) for strength in strengths),
    )


def _check(images: Tensor, strength: float, largest: float = float("inf")) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise TypeError(
            f"images must be uint8 of the shape (N, C, H, W), not {images.dtype} of {tuple(images.shape)}"
        )
    if not 0 <= strength <= largest:
        raise ValueError(f"the strength must lie between 0 and {largest}, not {strength}")


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, C) uint8 → the same shape."""
    file = io.BytesIO()
    grey = image.shape[2] == 1
    Image.fromarray(image[..., 0] if grey else image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(image.shape)
