"""One image file turned into pixels of 8 bits, by one rule for every file.

The rule, in its order:
1. The format is one of FORMATS, known by the file's contents and not by its ending, and the image has at most
   MAX_PIXELS pixels, looked up before anything is decoded.
2. Of an animation or a file of many pages the first is taken.
3. Grey of 16 bits is scaled by its full range (65,535 becomes 255; a TIFF of 12 bits by 4,095), floats by the
   range from 0 to 1. Floats outside it and integers of 32 bits have no range that one could know: they are
   refused. Colours of 16 bits keep their upper 8, as Pillow decodes them.
4. The picture is turned upright as its EXIF orientation says.
5. Transparency is composed on BACKGROUND.
6. What has one channel, or a palette of greys, is grey; everything else becomes RGB.
"""

import io
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 64_000_000
BACKGROUND = 255  # white, on which browsers, viewers and paper show a transparent picture

SIXTEEN_BITS, FLOATS = "scaled from 16 bits to 8", "scaled from floats to 8 bits"
DARK = "of 16 bits at most the lower 12 used, so that it is dark"
TURNED, COMPOSED = "turned upright by EXIF", "transparency composed on white"
FIRST_FRAME = "first of several frames or pages taken"
_BITS_PER_SAMPLE = 258  # a TIFF's tag
_WHOLE_GREY = {"1", "L"}


def decode(content: bytes) -> tuple[np.ndarray, list[str]]:
    """The pixels of an image file, and what was done to it beside reading.

    Args:
        content: of the file.

    Returns:
        (H, W, C) uint8 with 1 or 3 channels, and those of SIXTEEN_BITS, FLOATS, TURNED, COMPOSED and
        FIRST_FRAME that apply.

    Raises:
        ValueError: for what is no image, a damaged one, a giant one, or one whose range of values is not
            known; says what to do, but not the file, which it does not know.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _check_pixels(image.width * image.height)
                return _pixels(image)
    except _Refused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _Refused(f"has too many pixels to decode ({error}); make it smaller, or remove it") from error
    except Exception as error:  # decoders end in whatever a damaged file leads them to
        reason = str(error) if not isinstance(error, Image.UnidentifiedImageError) else "none of the formats"
        raise _Refused(
            f"is not an image that can be read as {', '.join(FORMATS)} ({reason or type(error).__name__}); "
            "repair or remove it"
        ) from error


class _Refused(ValueError):
    """An image that the rule refuses, with the reason."""


def _check_pixels(number: int) -> None:
    if number > MAX_PIXELS:
        raise _Refused(
            f"has {number:,} pixels, and at most {MAX_PIXELS:,} are decoded; make it smaller, or remove it"
        )


def _pixels(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    done = []
    several = getattr(image, "is_animated", False)
    if several and image.format != "MPO":  # which is a photograph with its preview
        done.append(FIRST_FRAME)
        image.seek(0)
    before = _orientation(image)
    image.load()
    orientation = _orientation(image)  # a TIFF is turned by Pillow while it is decoded
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image, done)
    if before != 1 or orientation != 1:
        done.append(TURNED)
    if orientation != 1:
        image = _upright(image, orientation)
    grey = _is_grey(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getextrema()[3][0] < 255:
            done.append(COMPOSED)
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (BACKGROUND,) * 3 + (255,)), layer)
    if grey:
        channel = image if image.mode in _WHOLE_GREY else image.convert("RGB").getchannel(0)
        return np.array(channel.convert("L"))[..., None], done
    return np.array(image.convert("RGB")), done


def _eight_bits(image: Image.Image, done: list[str]) -> Image.Image:
    """Grey of more than 8 bits, scaled by the full range of its kind, which is added to what was done."""
    values = np.array(image)
    if image.mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise _Refused(
                f"holds floats from {values.min():g} to {values.max():g}, whose range is not known; "
                "scale them to the range from 0 to 1, or save it with 8 bits"
            )
        full = 1.0
        done.append(FLOATS)
    elif image.mode == "I" and image.format != "PNG" and image.format != "PPM":
        raise _Refused(
            "holds integers of 32 bits, whose range is not known; save it with 8 or 16 bits without sign"
        )
    else:
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,)) if image.format == "TIFF" else (16,)
        full = 2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1
        done.append(SIXTEEN_BITS)
        if full == 65_535 and values.max() < 4_096:
            done.append(DARK)
    scaled = Image.fromarray((values * (255.0 / full)).round().astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):  # a PNG's grey value that stands for nothing at all
        scaled.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return scaled


def _orientation(image: Image.Image) -> int:
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned and mirrored as an EXIF orientation from 2 to 8 says."""
    turned = image.copy()
    turned.getexif()[ExifTags.Base.Orientation] = orientation  # lost where the bits were scaled
    return ImageOps.exif_transpose(turned)


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        return all(
            red == green == blue
            for red, green, blue in zip(*[iter(image.getpalette("RGB"))] * 3, strict=True)
        )
    return image.mode in (*_WHOLE_GREY, "LA", "La")
