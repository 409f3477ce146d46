"""A step along the sign of a gradient: against the whole Jacobian, and within the pixels."""

import pytest
import torch

from mea_lib.training.sign_step import sign_step


def test_the_step_is_the_sign_of_the_jacobians_row(tiny):
    """Against the whole Jacobian, image by image: noise, since pooling has no derivative where pixels are equal."""
    images = torch.randint(0, 256, (6, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels = torch.tensor([0, 3, 9, 1, 1, 4])
    moved = sign_step(tiny, images, labels, step=0.1)
    for image, label, after in zip(images, labels, moved, strict=True):
        pixels = image[None].float() / 255
        jacobian = torch.autograd.functional.jacobian(lambda x: tiny(x)[0], pixels)  # (K, 1, C, H, W)
        expected = (pixels[0] + 0.1 * jacobian[label, 0].sign()).clamp(0, 1)
        assert torch.equal(after, (expected * 255).round().to(torch.uint8))


def test_a_step_raises_the_logit_of_the_label_and_a_step_back_lowers_it(tiny, digits):
    images = digits.owner.images[:50]
    labels = tiny(images).argmax(1)
    own = [
        tiny(stepped).gather(1, labels[:, None]).mean().item()
        for stepped in (sign_step(tiny, images, labels, step) for step in (-0.02, 0.02))
    ]
    assert own[0] < tiny(images).gather(1, labels[:, None]).mean().item() < own[1]


@pytest.mark.parametrize("step", [0.1, 0.03])
def test_no_pixel_moves_further_than_the_step_or_leaves_the_range(tiny, digits, step):
    images = digits.owner.images[:20]
    moved = sign_step(tiny, images, torch.zeros(20, dtype=torch.long), step)
    assert moved.dtype == torch.uint8
    assert (moved.int() - images.int()).abs().max() <= round(255 * step)
