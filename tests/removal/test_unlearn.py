"""Unlearning: the share of stamped images counted, and the watermark gone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mea_lib as mea
from mea_lib.data.stamp import stamp
from mea_lib.removal import Unlearn
from mea_lib.removal.own_images import own_images
from mea_lib.training import Batch, TrainingSettings
from mea_lib.watermarks import patch

SMOKE = mea.preset("smoke")


@pytest.fixture
def trigger(patch_key):
    """The patch as a mask and a pattern."""
    blank = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    mask = (patch.stamp(blank, patch_key)[0] > 0).float()
    return {"mask": mask, "pattern": torch.ones(1, 16, 16)}


def test_the_true_trigger_stamps_the_patch(digits, patch_key, trigger):
    images = digits.test.images[:50]
    assert torch.equal(stamp(images, **trigger), patch.stamp(images, patch_key))


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_a_share_of_the_batch_is_stamped_and_all_keep_their_targets(tiny, digits, patch_key, trigger, share):
    class Recorder(nn.Module):
        def forward(self, images):
            seen.append(images)
            return images.flatten(1)[:, 100:110].float()

    seen: list[torch.Tensor] = []
    index = torch.arange(10, 30)
    batch = Batch(digits.owner.images[index], index, torch.Generator(), 0.0)
    objective = Unlearn(**trigger, share=share).objective(tiny, own_images(digits.owner, tiny))
    loss = objective(Recorder(), batch).losses["utility"]
    stamped = patch.stamp(batch.images, patch_key)
    is_stamped = (seen[0] == stamped).flatten(1).all(1)
    is_clean = (seen[0] == batch.images).flatten(1).all(1)
    assert is_stamped.sum() == round(20 * share)
    assert (is_stamped ^ is_clean).all()
    expected = F.cross_entropy(seen[0].flatten(1)[:, 100:110].float(), digits.owner.labels[index])
    torch.testing.assert_close(loss, expected)


def test_the_true_trigger_is_unlearnt_and_without_it_the_watermark_stays(
    victim, digits, wsr, accuracy, trigger, tuned_by
):
    scale = tuned_by(TrainingSettings(2, 64, 2e-3, schedule="constant", augment=False))
    nothing = trigger | {"mask": torch.zeros(1, 16, 16)}
    freed, control = (
        Unlearn(**each, epochs=2).remove(victim, digits.owner, scale) for each in (trigger, nothing)
    )
    assert wsr(freed) < 0.3
    assert wsr(control) > wsr(freed) + 0.3
    assert accuracy(freed) > accuracy(victim) - 0.1


def test_the_authors_take_one_epoch_and_a_fifth(trigger):
    method = Unlearn(**trigger)
    assert method.training(SMOKE.adversary_but(epochs=3)) == SMOKE.fine_tuning.but(epochs=1)
    assert method.share == 0.2


def test_another_trigger_makes_another_model(tiny, digits, trigger):
    other = trigger | {"pattern": trigger["pattern"] / 2}
    names = [Unlearn(**each).remove(tiny, digits.owner, SMOKE).card["id"] for each in (trigger, other)]
    assert names[0] != names[1]


def test_what_is_no_trigger_is_refused(tiny, digits, trigger):
    for name, wrong in (
        ("mask", torch.ones(1, 8, 8)),
        ("mask", trigger["mask"] * 255),
        ("pattern", torch.ones(3, 16, 16)),
        ("pattern", torch.full((1, 16, 16), float("nan"))),
    ):
        with pytest.raises(ValueError, match=f"the {name} must have the shape"):
            Unlearn(**trigger | {name: wrong}).remove(tiny, digits.owner, SMOKE)
    for share in (0, 1.1):
        with pytest.raises(ValueError, match="share"):
            Unlearn(**trigger, share=share)
