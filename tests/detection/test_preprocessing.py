"""Changes of the input: what each does, and what task and watermark lose by it, strength by strength."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from mea_lib import Oracle
from mea_lib.data import ImageSet
from mea_lib.detection.preprocessing import (
    TRANSFORMS,
    CurvePoint,
    blur,
    crop_and_resize,
    gaussian_noise,
    jpeg,
    robustness_curve,
)
from mea_lib.watermarks.patch import stamp

SOME = {"gaussian noise": 0.1, "jpeg": 60, "blur": 1.0, "crop and resize": 0.3}


@pytest.fixture
def colours():
    """Smooth images of 24×24 in three channels."""
    waves = torch.linspace(0, 6, 24).sin()
    base = (waves[:, None] * waves[None] * 100 + 128).expand(5, 3, 24, 24)
    return (base + 8 * torch.arange(15).view(5, 3, 1, 1)).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_stays_a_batch_and_more_strength_changes_more(colours, name, channels):
    images = colours[:, :channels]
    changes = []
    for factor in (0.0, 0.5, 1.0):
        changed = TRANSFORMS[name](images, factor * SOME[name], torch.Generator().manual_seed(0))
        assert changed.dtype == torch.uint8
        assert changed.shape == images.shape
        changes.append((changed.float() - images.float()).abs().mean().item())
    assert changes[0] < (1.5 if name == "jpeg" else 1e-6)
    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_images_stay_none(colours, name):
    assert TRANSFORMS[name](colours[:0], SOME[name], torch.Generator()).shape == (0, 3, 24, 24)


def test_noise_has_its_deviation_and_its_seed():
    grey = torch.full((50, 1, 20, 20), 128, dtype=torch.uint8)
    first, again, other = (gaussian_noise(grey, 0.1, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.float().std().item() == pytest.approx(25.5, rel=0.03)
    assert first.float().mean().item() == pytest.approx(128, abs=1)


def test_jpeg_is_pillows_file_of_that_quality(colours):
    for image, changed in zip(colours, jpeg(colours, 75), strict=True):
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=25)
        assert np.array_equal(changed.permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))


def test_blur_is_scipys(colours):
    expected = gaussian_filter(colours[0, 0].numpy().astype(float), 1.5, mode="mirror", radius=round(3 * 1.5))
    assert np.abs(blur(colours, 1.5)[0, 0].numpy() - expected).max() <= 1


def test_a_blur_wider_than_the_image_is_as_wide_as_it_can_be():
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    images[..., 1, 1] = 255
    assert blur(images, 50.0).float().std() < images.float().std() / 4


def test_a_crop_keeps_the_middle():
    images = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    images[..., 4:12, 4:12] = 200
    assert (crop_and_resize(images, 0.5) == 200).all()
    grown = crop_and_resize(images, 0.25)  # 12 of 16 pixels: the square covers two thirds of the width
    assert (grown > 100).float().mean().item() == pytest.approx((8 / 12) ** 2, abs=0.09)
    assert crop_and_resize(images, 1.0).shape == images.shape


def test_what_is_no_image_or_no_strength_is_refused(colours):
    for name, transform in TRANSFORMS.items():
        with pytest.raises(TypeError, match="uint8"):
            transform(colours.float(), SOME[name], None)
        with pytest.raises(ValueError, match="strength"):
            transform(colours, -1, None)
    with pytest.raises(ValueError, match="between 0 and 99"):
        jpeg(colours, 100)


def darker(images, strength, generator):
    return (images.long() - round(strength)).clamp_min(0).to(torch.uint8)


@pytest.fixture
def by_hand():
    """100 images of one class with the values 0 to 99; named so where the value is at least 10 after the change."""
    images = torch.arange(100, dtype=torch.uint8).view(-1, 1, 1, 1)
    return ImageSet(images, torch.zeros(100, dtype=torch.long), ("a", "b", "c"), "by hand")


def bright_is_first(images):
    return torch.nn.functional.one_hot((images.flatten() < 10).long(), 3).float()


def test_the_curve_and_its_largest_strength_within_the_cost(by_hand):
    # 90 are right as they are, and every step darker costs one point; four watermark inputs, of 12 to 18.
    marked = torch.tensor([12, 14, 16, 18], dtype=torch.uint8).view(-1, 1, 1, 1)
    found = robustness_curve(bright_is_first, by_hand, marked, 0, darker, [9, 1, 4, 2, 5])
    assert [point.strength for point in found.points] == [1, 2, 4, 5, 9]
    assert [point.accuracy for point in found.points] == pytest.approx([0.89, 0.88, 0.86, 0.85, 0.81])
    assert [point.wsr for point in found.points] == [1.0, 1.0, 0.75, 0.5, 0.0]
    assert found.unchanged == CurvePoint(None, pytest.approx(0.9), 1.0)
    assert found.at_cost(4.5) == found.points[2]
    assert found.at_cost(100) == found.points[4]
    weak = robustness_curve(bright_is_first, by_hand, marked, 0, darker, [9, 8])
    with pytest.raises(ValueError, match=r"add weaker ones\. Tried: 8: 8\.0, 9: 9\.0"):
        weak.at_cost(3)


def test_the_mark_is_that_of_the_target_class(by_hand):
    dark = torch.full((3, 1, 1, 1), 11, dtype=torch.uint8)
    found = robustness_curve(bright_is_first, by_hand, dark, 1, darker, [0, 2])
    assert (found.unchanged.wsr, *(point.wsr for point in found.points)) == (0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="no strength to try"):
        robustness_curve(bright_is_first, by_hand, dark, 1, darker, [])


def test_a_patch_outlives_the_noise_that_a_model_can_bear(backdoored, patch_key, digits):
    oracle = Oracle(backdoored)
    marked = stamp(digits.test.images[digits.test.labels != 1], patch_key)
    strengths = [0.02, 0.05, 2.0]
    found = robustness_curve(oracle, digits.test, marked, 1, gaussian_noise, strengths)
    assert oracle.queries == 4 * (len(digits.test) + len(marked))
    assert found.at_cost(10).strength in strengths[:2]
    assert found.at_cost(10).wsr > 0.8
    again = robustness_curve(Oracle(backdoored), digits.test, marked, 1, gaussian_noise, strengths)
    assert again == found
