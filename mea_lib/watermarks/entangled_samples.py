"""Watermark samples of an Entangled Watermark: where the trigger goes, and how the image around it is changed."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.watermarks.entanglement import Entanglement

AT_ONCE = 64  # watermark samples, beside as many images of the target class: half of a batch in the paper


@dataclass(frozen=True)
class EntangledKey:
    """Which images carry the trigger, and what they are to be called.

    Attributes:
        source: name or number of the class whose images become watermark samples.
        target: that of the class that they are to be called.
        pixels: height and width of the trigger, a white square.

    Raises:
        ValueError: where both classes are the same, or for a trigger without a pixel.
    """

    source: str | int
    target: str | int
    pixels: int = 3

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise ValueError(f"source and target class must differ; both are {self.target!r}")
        if self.pixels < 1:
            raise ValueError(f"a trigger has at least 1 pixel in height and width, not {self.pixels}")

    def indices(self, images: ImageSet) -> tuple[int, int]:
        """Numbers of the source and the target class in `images`.

        Raises:
            ValueError: for a class that `images` does not have, a class twice, or a trigger larger than an image.
        """
        source, target = images.class_index(self.source), images.class_index(self.target)
        if source == target:
            raise ValueError(
                f"source and target class must differ; both are {images.classes[target]!r} in {images.name}"
            )
        if self.pixels > images.size:
            raise ValueError(
                f"a trigger of {self.pixels} pixels is larger than an image of {images.name}, which has {images.size}"
            )
        return source, target


@dataclass(frozen=True)
class SampleSettings:
    """How images are changed around the trigger (Algorithm 1, lines 5 and 6, which are optional there).

    Attributes:
        step: what one signed gradient step adds to or takes from a pixel, in parts of white; 0 leaves all out.
        rounds: steps towards more entanglement.
        threshold: share of samples that the clean model may call the target; where it calls more so, steps away
            from the target go before each round.
        most_steps: of those, in all rounds together.
        last_steps: away from the target, after the last round.
    """

    step: float = 0.01
    rounds: int = 10
    threshold: float = 0.1
    most_steps: int = 50
    last_steps: int = 5

    def __post_init__(self) -> None:
        if min(self.step, self.rounds, self.most_steps, self.last_steps) < 0 or not 0 <= self.threshold <= 1:
            raise ValueError(
                "steps and rounds must be at least 0 and threshold between 0 and 1, not "
                f"step={self.step}, rounds={self.rounds}, most_steps={self.most_steps}, "
                f"last_steps={self.last_steps} and threshold={self.threshold}"
            )


class EntangledSamples:
    """Makes watermark samples by the gradients of a clean model.

    Args:
        clean: the owner's clean model; it is in evaluation mode from then on.
        train_set: the owner's images, on the model's device.
        key: source, target and trigger.
        settings: of the changes around the trigger.
        entanglement: layers, distance and temperature.

    Attributes:
        place: row and column of the trigger's upper left pixel: where white pixels would entangle source images most
            with the target class, by the mean gradient (Algorithm 1, lines 1 to 3).

    Raises:
        ValueError: for a key that does not fit the images, or a source or target class with fewer than two.

    Source: Jia et al., Entangled Watermarks as a Defense against Model Extraction (USENIX Security 2021),
    Algorithm 1. Their released code places the trigger where the summed gradient is least, takes that map
    transposed, and whitens the first channel only; here it is where the algorithm says, and white. There the steps
    away from the target go down the target's logit, here up the cross-entropy, as in the algorithm.
    """

    def __init__(
        self,
        clean: ImageClassifier,
        train_set: ImageSet,
        key: EntangledKey,
        settings: SampleSettings,
        entanglement: Entanglement,
    ) -> None:
        source, self.target = key.indices(train_set)
        self.sources = train_set.of_class(source)
        self.targets = train_set.of_class(self.target)
        if min(len(self.sources), len(self.targets)) < 2:
            raise ValueError(
                f"{train_set.name} holds {len(self.sources)} images of the source and {len(self.targets)} of the target "
                "class; an entanglement needs two or more of each"
            )
        self.model = clean.eval()
        self.key, self.settings, self.entanglement = key, settings, entanglement
        self._temperatures = entanglement.temperatures(train_set.images.device)
        self.place = self._find_place()

    def make(self, images: Tensor) -> Tensor:
        """Watermark samples of these images: with the trigger, and then changed a little, the trigger too.

        Args:
            images: (N, C, H, W) uint8, of the source class; two or more.

        Returns:
            (N, C, H, W) uint8.

        Raises:
            ValueError: for a single image, which has no neighbour.
        """
        pixels = self.stamped(images.to(self.targets.device)).float() / 255
        if self.settings.step:
            pixels = torch.cat([self._changed(*pair) for pair in self._beside_targets(pixels)])
        return pixels.mul(255).round().to(torch.uint8)

    def stamped(self, images: Tensor) -> Tensor:
        """The same uint8 images (N, C, H, W) with the white trigger in its place, and nothing else changed."""
        (row, column), size = self.place, self.key.pixels
        stamped = images.clone()
        stamped[..., row : row + size, column : column + size] = 255
        return stamped

    def _find_place(self) -> tuple[int, int]:
        summed = torch.zeros_like(self.sources[0], dtype=torch.float32)  # (C, H, W)
        count = min(len(self.sources), len(self.targets))
        for sources, targets in self._beside_targets(self.sources[:count].float() / 255):
            summed += self._towards_entanglement(sources, targets).sum(0)
        windows = F.avg_pool2d(summed.sum(0)[None], self.key.pixels, stride=1)[
            0
        ]  # a convolution with the trigger
        row, column = divmod(int(windows.argmax()), windows.shape[1])
        return row, column

    def _beside_targets(self, pixels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Some images at a time, never one alone, and beside them as many of the target class; all in [0, 1]."""
        if len(pixels) < 2:
            raise ValueError(f"watermark samples are made of two or more images, not {len(pixels)}")
        places = torch.arange(len(pixels), device=pixels.device)
        for part in places.tensor_split(-(-len(pixels) // AT_ONCE)):
            yield pixels[part], self.targets[part % len(self.targets)].float() / 255

    def _changed(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → the same after all steps."""
        settings, away = self.settings, 0
        for _ in range(settings.rounds):
            while away < settings.most_steps and self._called_target(pixels) > settings.threshold:
                pixels = self._stepped(pixels, self._away_from_target(pixels))
                away += 1
            pixels = self._stepped(pixels, self._towards_entanglement(pixels, targets))
        for _ in range(settings.last_steps):
            pixels = self._stepped(pixels, self._away_from_target(pixels))
        return pixels

    def _stepped(self, pixels: Tensor, gradient: Tensor) -> Tensor:
        return (pixels + self.settings.step * gradient.sign()).clamp(0, 1)

    def _towards_entanglement(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Gradient of the layers' losses, summed, with respect to the first images."""
        pixels = pixels.detach().requires_grad_()
        _, losses = self.entanglement.measure(self.model, pixels, targets, self._temperatures)
        return torch.autograd.grad(losses.sum(), pixels)[0]

    def _away_from_target(self, pixels: Tensor) -> Tensor:
        """Gradient of the cross-entropy to the target class."""
        pixels = pixels.detach().requires_grad_()
        target = torch.full((len(pixels),), self.target, device=pixels.device)
        return torch.autograd.grad(F.cross_entropy(self.model(pixels), target), pixels)[0]

    @torch.no_grad()
    def _called_target(self, pixels: Tensor) -> float:
        return float((self.model(pixels).argmax(1) == self.target).float().mean())
