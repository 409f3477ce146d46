"""Transfer: another task is learnt, the body moves, the head of old reads what is left."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction.foreign import adapt
from mea_lib.models import Input
from mea_lib.removal import Transfer
from mea_lib.removal.transfer import as_images_of, with_head_of
from mea_lib.training import TrainingSettings

SMOKE = mea.preset("smoke")
SCALE = SMOKE.but(adversary=TrainingSettings(6, 64, 5e-3, augment=False))
# By this one nothing moves.
STILL = SMOKE.but(adversary=TrainingSettings(1, 64, 1e-12, optimizer="sgd", weight_decay=0, augment=False))


def thirds(images):
    """Another task on the same images: the digit's remainder when divided by three."""
    return mea.ImageSet(images.images, images.labels % 3, ("0", "1", "2"), "thirds")


@pytest.fixture(scope="module")
def moved(victim, digits, store_of_the_session):
    """The victim, transferred to that task."""
    return Transfer().transfer(victim, thirds(digits.owner), SCALE)


def test_the_other_task_is_learnt(moved, digits):
    assert moved.spec["classes"] == moved(digits.test.images[:2]).shape[1] == 3
    assert proof.accuracy(mea.Oracle(moved), thirds(digits.test)) > 0.75


def test_the_head_of_old_is_put_back_on_the_transferred_body(moved, victim, digits):
    read = Transfer().remove(victim, thirds(digits.owner), SCALE)
    assert torch.equal(read.head.weight, victim.head.weight)
    assert torch.equal(read.head.bias, victim.head.bias)
    for name, value in read.body.state_dict().items():
        assert torch.equal(value, moved.body.state_dict()[name])
        assert name.endswith("num_batches_tracked") or not torch.equal(value, victim.body.state_dict()[name])
    images = digits.test.images[:50]
    expected = moved.features(images) @ victim.head.weight.T + victim.head.bias
    torch.testing.assert_close(read(images), expected)
    assert not read.training


def test_a_transfer_that_moves_nothing_leaves_the_watermark_to_read(victim, digits, wsr):
    read = Transfer().remove(victim, thirds(digits.owner), STILL)
    assert wsr(read) > wsr(victim) - 0.15  # batch normalisation has seen new images


def test_the_new_head_is_drawn_by_the_seed(tiny, digits):
    task = thirds(digits.owner)
    heads = [Transfer().transfer(tiny, task, STILL, seed=seed).head.weight for seed in (0, 1)]
    assert (heads[0] - heads[1]).abs().max() > 0.01
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    Transfer().transfer(tiny, task, STILL, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_other_images_are_brought_to_the_models_form(tiny, make_tiny, digits):
    colour = mea.ImageSet(
        torch.randint(0, 256, (30, 3, 24, 24), dtype=torch.uint8), torch.zeros(30).long(), ("a",), "colour"
    )
    grey = as_images_of(tiny, colour)
    assert grey.images.shape == (30, 1, 16, 16)
    assert grey.images.dtype == torch.uint8
    three = as_images_of(make_tiny(inputs=Input(3, 16, [0.0] * 3, [1.0] * 3)), digits.test)
    assert torch.equal(three.images, digits.test.images.repeat(1, 3, 1, 1))
    assert as_images_of(tiny, digits.test).images is digits.test.images
    with pytest.raises(ValueError, match=r"\(3, 24, 24\); bring .* as_images_of"):
        Transfer().transfer(tiny, colour, SMOKE)


@pytest.mark.parametrize("size", [16, 24, 40])
def test_two_rooms_bring_foreign_images_to_the_same_pixels(tiny, size):
    pixels = torch.randint(0, 256, (9, 3, size, size), generator=torch.Generator().manual_seed(1))
    colour = mea.ImageSet(pixels.to(torch.uint8), torch.zeros(9).long(), ("a",), "colour")
    assert torch.equal(as_images_of(tiny, colour).images, adapt(colour, 1, 16).images)


def test_a_flat_grey_stays_what_it_is(tiny):
    flat = torch.full((4, 3, 40, 40), 90, dtype=torch.uint8)
    found = as_images_of(tiny, mea.ImageSet(flat, torch.zeros(4).long(), ("a",), "flat")).images
    assert (found.int() - 90).abs().max() <= 1


def test_only_a_body_of_the_same_network_fits_under_a_head(tiny, make_tiny):
    with pytest.raises(RuntimeError, match="size mismatch"):
        with_head_of(tiny, make_tiny(width=3))


def test_a_task_has_labels_and_images(tiny, digits, quick):
    with pytest.raises(TypeError, match="labelled images of that task"):
        Transfer().remove(tiny, digits.queries, quick)
    with pytest.raises(ValueError, match="no image to learn"):
        Transfer().remove(tiny, digits.owner.subset(0), quick)
