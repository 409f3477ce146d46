"""Views of a batch: each change is torchvision's on single images, and the draws are those that the settings name."""

import pytest
import torch
from scipy.stats import binomtest, ks_2samp, kstest
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as TF

from mea_lib.training import views
from mea_lib.training.views import GREY_28, RGB_32, ViewSettings, two_views, view

# Differences in single precision; pixels lie in [0, 1], so this is a thousandth of a grey level.
TOLERANCE = {"rtol": 0, "atol": 4e-6}
NOTHING = ViewSettings(crop_scale=(1, 1), crop_ratio=(1, 1), mirror=0, jitter=0, greyscale=0, blur=0)


def batch(number=12, channels=3, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, channels, height, width), generator=generator, dtype=torch.uint8)


def pixels(*args, **kwargs):
    return batch(*args, **kwargs).float() / 255


def uniform(least, largest, number, seed=1):
    return least + (largest - least) * torch.rand(number, generator=torch.Generator().manual_seed(seed))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 32), (20, 33)])
def test_crop_is_torchvisions_resized_crop(channels, height, width):
    images = pixels(60, channels, height, width)
    boxes = views._draw_boxes(60, height, width, ViewSettings(crop_scale=(0.05, 1.0)), seeded())
    mirrored = torch.arange(60) % 2 == 0
    found = views.crop_and_mirror(images, boxes, mirrored)
    for image, box, flip, own in zip(images, boxes.T.int().tolist(), mirrored, found, strict=True):
        expected = TF.resized_crop(image, *box, [height, width], InterpolationMode.BILINEAR, antialias=True)
        torch.testing.assert_close(own, TF.hflip(expected) if flip else expected, **TOLERANCE)


@pytest.mark.parametrize(("scale", "ratio"), [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.5, 1.0), (0.3, 3.0))])
def test_crops_are_distributed_as_torchvisions(scale, ratio):
    number = 4_000
    settings = ViewSettings(crop_scale=scale, crop_ratio=ratio)
    ours = views._draw_boxes(number, 28, 28, settings, seeded())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.zeros(1, 28, 28)
        theirs = torch.tensor([RandomResizedCrop.get_params(image, scale, ratio) for _ in range(number)]).T
    top, left, height, width = ours
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 28).all()
    assert (left + width <= 28).all()
    for own, their in zip((*ours, height * width), (*theirs, theirs[2] * theirs[3]), strict=True):
        assert ks_2samp(own.numpy(), their.numpy()).pvalue > 1e-3


def test_a_part_that_never_fits_is_the_whole_image():
    boxes = views._draw_boxes(5, 28, 28, ViewSettings(crop_scale=(0.9, 1), crop_ratio=(4, 5)), seeded())
    assert torch.equal(boxes, torch.tensor([[0.0], [0.0], [28.0], [28.0]]).expand(4, 5))


@pytest.mark.parametrize(
    ("ours", "theirs", "least", "largest"),
    [
        (views.adjust_brightness, TF.adjust_brightness, 0.2, 1.8),
        (views.adjust_contrast, TF.adjust_contrast, 0.2, 1.8),
        (views.adjust_saturation, TF.adjust_saturation, 0.2, 1.8),
        (views.adjust_hue, TF.adjust_hue, -0.5, 0.5),
    ],
    ids=["brightness", "contrast", "saturation", "hue"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_as_torchvisions(ours, theirs, least, largest, channels):
    if channels == 1 and ours in (views.adjust_saturation, views.adjust_hue):
        return
    images = pixels(20, channels)
    images[0] = 0.4  # no hue at all
    images[1, :, :16] = images[1, :1, :16]  # partly grey
    images[2] = (images[2] * 3).round() / 3  # many equal channels
    factors = uniform(least, largest, 20)
    for image, factor, own in zip(images, factors.tolist(), ours(images, factors), strict=True):
        torch.testing.assert_close(own, theirs(image, factor), rtol=0, atol=1e-5)


def test_grey_is_torchvisions():
    images = pixels()
    torch.testing.assert_close(views.grey(images), TF.rgb_to_grayscale(images), **TOLERANCE)


@pytest.mark.parametrize("kernel", [3, 7, 23])
def test_blur_is_torchvisions(kernel):
    images = pixels(10, 3, 28, 32)
    sigmas = uniform(0.1, 2.0, 10)
    for image, sigma, own in zip(images, sigmas.tolist(), views.blur(images, sigmas, kernel), strict=True):
        torch.testing.assert_close(own, TF.gaussian_blur(image, [kernel] * 2, [sigma] * 2), **TOLERANCE)
    torch.testing.assert_close(views.blur(images, torch.zeros(10), kernel), images)


@pytest.mark.parametrize(("settings", "channels"), [(GREY_28, 1), (RGB_32, 3), (ViewSettings(blur=1.0), 3)])
def test_views_are_floats_of_the_same_shape_that_the_seed_decides(settings, channels):
    images = batch(9, channels)
    before = images.clone()
    first, second = two_views(images, settings, seeded(3))
    again = two_views(images, settings, seeded(3))
    other = two_views(images, settings, seeded(4))
    assert torch.equal(images, before)
    assert first.shape == second.shape == images.shape
    assert first.dtype == second.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-6
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    assert not torch.equal(first, other[0])
    assert (first - second).abs().flatten(1).amax(1).gt(0.05).all(), "an image has twice the same view"
    torch.testing.assert_close(view(images.float() / 255, settings, seeded(3)), first)


def test_with_everything_off_a_view_is_the_image():
    images = batch()
    torch.testing.assert_close(view(images, NOTHING, seeded()), images.float() / 255)


def test_under_autocast_views_stay_in_full_precision():
    images = batch()
    settings = ViewSettings(blur=0.5)
    expected = view(images, settings, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(view(images, settings, seeded()), expected)


@pytest.mark.parametrize("probability", [0.5, 0.1])
def test_so_many_are_mirrored(probability):
    images = batch(1, 1, 16, 16).expand(2_000, -1, -1, -1)
    found = view(images, _only(mirror=probability), seeded())
    mirrored = (found - images.flip(3) / 255).abs().flatten(1).amax(1) < 1e-5
    kept = (found - images / 255).abs().flatten(1).amax(1) < 1e-5
    assert (mirrored ^ kept).all()
    _has_rate(mirrored, probability)


@pytest.mark.parametrize("name", ["greyscale", "blur"])
def test_so_many_lose_their_colours_or_are_blurred(name):
    images = batch(1, 3, 16, 16).expand(2_000, -1, -1, -1)
    found = view(images, _only(**{name: 0.3}), seeded())
    kept = (found - images / 255).abs().flatten(1).amax(1) < 1e-5
    _has_rate(~kept, 0.3)
    if name == "greyscale":
        assert torch.equal(found[~kept][:, 0], found[~kept][:, 1])


def test_brightness_factors_are_uniform_for_those_that_are_jittered():
    images = torch.full((3_000, 1, 16, 16), 100, dtype=torch.uint8)
    factors = view(images, _only(jitter=0.8, brightness=0.4), seeded())[:, 0, 0, 0] * 255 / 100
    jittered = (factors - 1).abs() > 1e-5
    _has_rate(jittered, 0.8)
    assert kstest(factors[jittered].numpy(), "uniform", args=(0.6, 0.8)).pvalue > 1e-3


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_every_change_of_colour_is_made_alone_if_asked(name):
    images = batch()
    found = view(images, _only(jitter=1.0, **{name: 0.4}), seeded())
    assert ((found - images / 255).abs().flatten(1).amax(1) > 1e-3).all()
    grey = views.grey(found) - views.grey(images / 255)
    if name == "saturation":  # keeps the grey where nothing was cut off
        assert grey.abs().median() < 1e-3
    if name == "hue":  # keeps the value
        torch.testing.assert_close(found.amax(1), images.amax(1) / 255, **TOLERANCE)


def test_the_order_of_the_changes_is_drawn():
    images, orders = batch(), set()
    with pytest.MonkeyPatch.context() as patch:
        seen = []
        for name in ("adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue"):
            patch.setattr(views, name, lambda x, _f, name=name: seen.append(name) or x)
        for seed in range(40):
            seen.clear()
            view(images, RGB_32, seeded(seed))
            assert len(set(seen)) == 4
            orders.add(tuple(seen))
    assert len(orders) > 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_scale": (0, 1)}, "crop_scale"),
        ({"crop_ratio": (2, 1)}, "crop_ratio"),
        ({"mirror": 1.5}, "mirror"),
        ({"hue": 0.6}, "hue"),
        ({"blur_pixels": 4}, "odd"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        ViewSettings(**change)


def _only(**settings):
    """Everything off but these."""
    off = NOTHING.to_dict() | {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    return ViewSettings(**(off | settings))


def _has_rate(hits, probability):
    low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.999)
    assert low <= probability <= high
