"""The rule by which a file becomes pixels, kind by kind, against what was put into the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from mea_lib.data import decode as decoding
from mea_lib.data.decode import COMPOSED, DARK, FIRST_FRAME, FLOATS, SIXTEEN_BITS, TURNED, decode

RAMP = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64  # 0 to 65472
COLOURS = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)


def file(image, form="PNG", **options):
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_colours_are_what_was_written(form):
    options = {"lossless": True} if form == "WEBP" else {}
    pixels, done = decode(file(Image.fromarray(COLOURS), form, **options))
    assert np.array_equal(pixels, COLOURS)
    assert done == []


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_by_their_full_range(form):
    pixels, done = decode(file(Image.fromarray(RAMP), form))
    assert np.abs(pixels[..., 0] - RAMP / 257).max() <= 0.5
    assert done == [SIXTEEN_BITS]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_of_which_twelve_are_used_are_said_to_be_dark(form):
    pixels, done = decode(file(Image.fromarray(RAMP // 16), form))
    assert pixels.max() == 16
    assert done == [SIXTEEN_BITS, DARK]


def test_floats_between_0_and_1_are_scaled_and_others_refused():
    fractions = (RAMP / 65535).astype(np.float32)
    pixels, done = decode(file(Image.fromarray(fractions), "TIFF"))
    assert np.abs(pixels[..., 0] - fractions * 255).max() <= 0.5
    assert done == [FLOATS]
    for strange in (fractions * 300, fractions - 0.5, np.where(fractions > 0.9, np.nan, fractions)):
        with pytest.raises(ValueError, match="whose range is not known; scale them"):
            decode(file(Image.fromarray(strange.astype(np.float32)), "TIFF"))


def test_integers_of_32_bits_are_refused():
    with pytest.raises(ValueError, match="integers of 32 bits"):
        decode(file(Image.fromarray(RAMP.astype(np.int32)), "TIFF"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(form, orientation):
    """The picture's upper left corner is white; each orientation says where a viewer has to put it."""
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :4] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels, done = decode(file(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif))
    assert np.abs(pixels[..., 0].astype(int) - upright).max() < 40
    assert done == ([TURNED] if orientation > 1 else [])


def test_a_picture_of_16_bits_is_turned_upright_too():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    pixels, done = decode(file(Image.fromarray(np.rot90(RAMP).copy()), exif=exif))
    assert np.abs(pixels[..., 0] - RAMP / 257).max() <= 0.5
    assert done == [SIXTEEN_BITS, TURNED]


def composed(colour, alpha):
    return (colour.astype(float) * alpha + 255.0 * (255 - alpha)) / 255


def test_transparency_is_composed_on_white():
    alpha = np.random.default_rng(2).integers(0, 256, (12, 12, 1), dtype=np.uint8)
    pixels, done = decode(file(Image.fromarray(np.concatenate([COLOURS, alpha], 2))))
    assert np.abs(pixels - composed(COLOURS, alpha)).max() <= 1
    assert done == [COMPOSED]
    grey = np.concatenate([COLOURS[..., :1], alpha], 2)
    pixels, done = decode(file(Image.fromarray(grey)))
    assert np.abs(pixels - composed(COLOURS[..., :1], alpha)).max() <= 1
    assert pixels.shape == (12, 12, 1)


def test_a_layer_that_covers_everything_changes_nothing():
    opaque = np.concatenate([COLOURS, np.full((12, 12, 1), 255, np.uint8)], 2)
    pixels, done = decode(file(Image.fromarray(opaque)))
    assert np.array_equal(pixels, COLOURS)
    assert done == []


def test_one_value_may_stand_for_nothing():
    half = np.zeros((12, 12), np.uint8)
    half[6:] = 90
    for image in (Image.fromarray(half), Image.fromarray(half).convert("P")):
        pixels, done = decode(file(image, transparency=0))
        assert (pixels[:6] == 255).all()
        assert (pixels[6:] == 90).all()
        assert done == [COMPOSED]
    pixels, done = decode(file(Image.fromarray(half.astype(np.uint16) * 257), transparency=0))
    assert (pixels[:6] == 255).all()
    assert (pixels[6:] == 90).all()


def test_palettes_are_looked_up():
    picture = Image.fromarray(COLOURS).quantize(16)
    pixels, _ = decode(file(picture))
    assert np.array_equal(pixels, np.asarray(picture.convert("RGB")))
    grey = Image.fromarray(COLOURS[..., 0] // 16 * 16).convert("P", palette=Image.Palette.ADAPTIVE)
    pixels, _ = decode(file(grey))
    assert np.array_equal(pixels[..., 0], COLOURS[..., 0] // 16 * 16)


def test_black_and_white_is_grey():
    bits = COLOURS[..., 0] > 127
    pixels, _ = decode(file(Image.fromarray(bits)))
    assert np.array_equal(pixels[..., 0], bits * 255)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_frame_is_taken(form):
    frames = [Image.new("RGB", (12, 12), colour) for colour in ("red", "blue", "green")]
    pixels, done = decode(file(frames[0], form, save_all=True, append_images=frames[1:]))
    assert pixels[0, 0, 0] > 240
    assert pixels[0, 0, 2] < 20
    assert done == [FIRST_FRAME]


def test_print_colours_become_rgb():
    pixels, _ = decode(file(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert tuple(pixels[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        file(Image.fromarray(COLOURS))[:-60],
    ],
    ids=["empty", "text", "postscript", "cut off"],
)
def test_what_is_no_whole_image_is_refused(content):
    with pytest.raises(
        ValueError, match=r"is not an image that can be read as PNG, JPEG.*repair or remove it"
    ):
        decode(content)


def test_a_damaged_chunk_is_an_error_that_says_what_to_do():
    noise = np.random.default_rng(3).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    content = bytearray(file(Image.fromarray(noise)))
    place = content.rindex(b"IDAT")
    content[place : place + 4] = b"\x8d\x03\x98\xa6"
    with pytest.raises(ValueError, match=r"broken PNG file.*repair or remove it"):
        decode(bytes(content))


def png_of(side):
    """The head of a black PNG, which says how many pixels will come, and few of them."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(99))),
    ]
    written = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


@pytest.mark.parametrize(
    "side", [8_001, 10_000, 20_000]
)  # Pillow itself warns of the second and refuses the third
def test_a_giant_is_refused_before_it_is_decoded(monkeypatch, side):
    monkeypatch.setattr(decoding, "_pixels", lambda image: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"pixels.*make it smaller, or remove it"):
        decode(png_of(side))
