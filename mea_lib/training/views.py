"""Random views of a whole batch at once, on the device the images are on: what an encoder learns to see through.

A resize, a mirror and a blur are all linear along the rows and along the columns, so each is a product of the
image with one small matrix from the left and one from the right, another pair for every image.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # of red, green and blue
TRIES = 10  # for a crop that fits into the image
LARGEST_BLUR = 2.0  # pixels


@dataclass(frozen=True)
class ViewSettings:
    """How different two views of an image may be.

    Attributes:
        crop_scale: least and largest share of the image's area that a view shows, enlarged to the whole.
        crop_ratio: least and largest width by height of that part.
        mirror: probability that left and right change places.
        jitter: probability that brightness, contrast, saturation and hue are changed.
        brightness: the factor is drawn between 1 less and 1 plus this.
        contrast: the same for the distance of the pixels from the image's mean grey.
        saturation: the same for their distance from their own grey; for RGB images only.
        hue: share of the colour circle by which hues turn at most, up to 0.5; for RGB images only.
        greyscale: probability that the colours are lost; for RGB images only.
        blur: probability of a Gaussian blur with a deviation between 0.1 and 2 pixels.
        blur_pixels: the width of its kernel, an odd number.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mirror: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    greyscale: float = 0.2
    blur: float = 0.0
    blur_pixels: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(f"crop_scale must lie above 0 and up to 1, ascending, not {self.crop_scale}")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"crop_ratio must be two ascending numbers above 0, not {self.crop_ratio}")
        for name in ("mirror", "jitter", "brightness", "contrast", "saturation", "greyscale", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue must lie between 0 and 0.5, not {self.hue}")
        if self.blur_pixels < 1 or self.blur_pixels % 2 == 0:
            raise ValueError(f"blur_pixels must be an odd number, not {self.blur_pixels}")

    def to_dict(self) -> dict:
        """Plain values, for the recipe of a stored model."""
        return asdict(self)


# SimCLR on CIFAR-10 (Chen et al. 2020, App. B.9): jitter of strength 0.5, no blur.
RGB_32 = ViewSettings()
# Grey images of single things, 28 pixels wide: colours are not there to be changed, and small parts say little.
GREY_28 = ViewSettings(crop_scale=(0.3, 1.0), saturation=0.0, hue=0.0, greyscale=0.0)


def default_views(channels: int) -> ViewSettings:
    """`GREY_28` for images of one channel, `RGB_32` for those of three."""
    return GREY_28 if channels == 1 else RGB_32


def two_views(images: Tensor, settings: ViewSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two views of each image, drawn one after the other.

    Args:
        images: (N, C, H, W) uint8 from 0 to 255, or floats in [0, 1].
        settings: how far views may go.
        generator: a CPU generator, so that the draws are the same on every device.

    Returns:
        two tensors (N, C, H, W), float32 in [0, 1], on the images' device.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020), App. A.
    There the four changes of colour come in another order for each image; here for each view of a batch.
    """
    return view(images, settings, generator), view(images, settings, generator)


@torch.no_grad()
def view(images: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """One view of each image: crop, mirror, jitter, greyscale, blur. Args and result as `two_views`."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    number, channels, height, width = pixels.shape
    with torch.autocast(pixels.device.type, enabled=False):
        boxes = _draw_boxes(number, height, width, settings, generator).to(pixels.device)
        mirrored = _chance(settings.mirror, number, generator).to(pixels.device)
        pixels = crop_and_mirror(pixels, boxes, mirrored)
        pixels = _jitter(pixels, settings, generator)
        if channels == 3 and settings.greyscale:
            lost = _chance(settings.greyscale, number, generator).to(pixels.device)
            pixels = torch.where(lost[:, None, None, None], grey(pixels), pixels)
        if settings.blur:
            sigmas = _between(0.1, LARGEST_BLUR, number, generator)
            blurred = _chance(settings.blur, number, generator)
            pixels = blur(pixels, torch.where(blurred, sigmas, 0.0).to(pixels.device), settings.blur_pixels)
    return pixels


def crop_and_mirror(pixels: Tensor, boxes: Tensor, mirrored: Tensor) -> Tensor:
    """Enlarge a part of each image to the whole, bilinearly, and mirror some of them.

    Args:
        pixels: (N, C, H, W) float32.
        boxes: (4, N) top, left, height and width of each part, whole numbers of pixels.
        mirrored: (N,) bool.
    """
    top, left, height, width = boxes
    rows = _resize_matrix(top, height, pixels.shape[2])  # (N, H, H)
    columns = _resize_matrix(left, width, pixels.shape[3], mirrored)  # (N, W, W)
    return rows[:, None] @ pixels @ columns[:, None].mT


def adjust_brightness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image (N, C, H, W) by its factor (N,), cut at 0 and 1."""
    return (pixels * factors[:, None, None, None]).clamp(0, 1)


def adjust_contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image's distance from its mean grey by its factor (N,), cut at 0 and 1."""
    return _away_from(grey(pixels).mean((1, 2, 3), keepdim=True), pixels, factors)


def adjust_saturation(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each pixel's distance from its own grey by its image's factor (N,), cut at 0 and 1."""
    return _away_from(grey(pixels), pixels, factors)


def adjust_hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn the hues of RGB images by a share of the colour circle (N,), from −0.5 to 0.5.

    Hue, saturation and value, as torchvision does it.
    """
    value, largest = pixels.max(1)  # (N, H, W) each
    chroma = value - pixels.amin(1)
    red, green, blue = pixels.unbind(1)
    gaps = torch.stack([green - blue, blue - red, red - green])  # (3, N, H, W)
    hue = gaps.gather(0, largest[None])[0] / chroma.clamp_min(1e-12) + 2 * largest  # in sixths of the circle
    hue = hue + 6 * turns[:, None, None]
    sectors = torch.tensor([5, 3, 1], device=pixels.device)[:, None, None]
    place = (hue[:, None] + sectors).remainder(6)  # (N, 3, H, W)
    return value[:, None] - chroma[:, None] * torch.minimum(place, 4 - place).clamp(0, 1)


def grey(pixels: Tensor) -> Tensor:
    """(N, 3, H, W) → (N, 1, H, W) luminance; images of one channel as they are."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels.unbind(1)
    return (GREY_WEIGHTS[0] * red + GREY_WEIGHTS[1] * green + GREY_WEIGHTS[2] * blue)[:, None]


def blur(pixels: Tensor, sigmas: Tensor, kernel_pixels: int) -> Tensor:
    """Blur each image (N, C, H, W) with its own deviation (N,) in pixels; 0 leaves it as it is."""
    rows, columns = (_blur_matrix(sigmas, size, kernel_pixels) for size in pixels.shape[2:])
    return rows[:, None] @ pixels @ columns[:, None].mT


def _jitter(pixels: Tensor, settings: ViewSettings, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, in an order drawn for the batch."""
    chosen = _chance(settings.jitter, len(pixels), generator)
    changes = {adjust_brightness: settings.brightness, adjust_contrast: settings.contrast}
    if pixels.shape[1] == 3:
        changes |= {adjust_saturation: settings.saturation, adjust_hue: settings.hue}
    names = list(changes)
    for number in torch.randperm(len(names), generator=generator).tolist():
        change, reach = names[number], changes[names[number]]
        if reach:
            unchanged = 0.0 if change is adjust_hue else 1.0
            drawn = unchanged + _between(-reach, reach, len(pixels), generator)
            pixels = change(pixels, torch.where(chosen, drawn, unchanged).to(pixels.device))
    return pixels


def _draw_boxes(
    number: int, height: int, width: int, settings: ViewSettings, generator: torch.Generator
) -> Tensor:
    """(4, N) top, left, height and width of each crop, drawn as torchvision's RandomResizedCrop does it.

    Area and ratio are drawn until a part fits; where none of ten does, it is the whole image.
    """
    areas = height * width * _between(*settings.crop_scale, (TRIES, number), generator)
    logarithms = torch.tensor(settings.crop_ratio).log()
    ratios = _between(*logarithms.tolist(), (TRIES, number), generator).exp()
    widths, heights = (areas * ratios).sqrt().round(), (areas / ratios).sqrt().round()  # (TRIES, N)
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = fits.int().argmax(0, keepdim=True)
    fitting = fits.any(0)
    widths = torch.where(fitting, widths.gather(0, first)[0], float(width))
    heights = torch.where(fitting, heights.gather(0, first)[0], float(height))
    places = torch.rand(2, number, generator=generator)
    top, left = (places[0] * (height - heights + 1)).floor(), (places[1] * (width - widths + 1)).floor()
    return torch.stack([top, left, heights, widths])


def _resize_matrix(start: Tensor, length: Tensor, size: int, mirrored: Tensor | None = None) -> Tensor:
    """(N, size, size): row i has the bilinear weights of the pixels that output pixel i is made of."""
    pixels = torch.arange(size, device=start.device)
    wanted = pixels if mirrored is None else torch.where(mirrored[:, None], size - 1 - pixels, pixels)
    places = (wanted + 0.5) * (length / size)[:, None] - 0.5  # (N, size), within the part
    places = start[:, None] + places.clamp_min(0).minimum(length[:, None] - 1)
    return (1 - (places[:, :, None] - pixels).abs()).clamp_min(0)


def _blur_matrix(sigmas: Tensor, size: int, kernel_pixels: int) -> Tensor:
    """(N, size, size): row i has the Gaussian weights around pixel i, reflected at the edges."""
    reach = kernel_pixels // 2
    offsets = torch.arange(-reach, reach + 1, device=sigmas.device)
    weights = (-0.5 * (offsets / sigmas[:, None].clamp_min(1e-3)).square()).softmax(1)  # (N, K)
    places = (torch.arange(size, device=sigmas.device) + offsets[:, None]).abs()  # (K, size)
    places = torch.where(places >= size, 2 * (size - 1) - places, places)
    pixels = torch.arange(size, device=sigmas.device)
    return torch.einsum("nk,kij->nij", weights, (places[:, :, None] == pixels).float())


def _away_from(middle: Tensor, pixels: Tensor, factors: Tensor) -> Tensor:
    factors = factors[:, None, None, None]
    return (factors * pixels + (1 - factors) * middle).clamp(0, 1)


def _chance(probability: float, number: int, generator: torch.Generator) -> Tensor:
    return torch.rand(number, generator=generator) < probability


def _between(
    least: float, largest: float, shape: int | tuple[int, ...], generator: torch.Generator
) -> Tensor:
    shape = (shape,) if isinstance(shape, int) else shape
    return least + (largest - least) * torch.rand(shape, generator=generator)
