"""Triggers on images, their success, and the model that stays as it is meanwhile."""

import pytest
import torch

from mea_lib.detection.triggers import Triggers, frozen, stamp_all, success_rates


def test_every_trigger_is_stamped_on_every_image():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 2, 4, 5), generator=generator, dtype=torch.uint8)
    masks, patterns = (torch.rand(2, channels, 4, 5, generator=generator) for channels in (1, 2))
    found = stamp_all(images, masks, patterns)
    assert found.shape == (6, 2, 4, 5)
    for trigger in range(2):
        for image in range(3):
            mask, pixels = masks[trigger], images[image] / 255
            expected = pixels * (1 - mask) + patterns[trigger] * mask
            torch.testing.assert_close(found[3 * trigger + image], expected)


def test_triggers_start_where_they_are_told_and_cannot_leave_the_image():
    masks, patterns = torch.rand(2, 1, 3, 3), torch.rand(2, 3, 3, 3)
    masks[0, 0, 0, 0], patterns[1, 2, 2, 2] = 0.0, 1.0
    triggers = Triggers(masks, patterns)
    for found, wanted in zip(triggers(), (masks, patterns), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert torch.equal(triggers(torch.tensor([1]))[0], triggers()[0][1:])
    optimizer = torch.optim.SGD(triggers.parameters(), lr=1e3)
    sum(part.sum() for part in triggers()).backward()
    optimizer.step()
    assert all(part.min() >= 0 and part.max() <= 1 for part in triggers())


class Brightest(torch.nn.Module):
    """Names the place of the brightest pixel; the first parameter is only there to say where it is."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        assert images.dtype == torch.uint8
        return images.flatten(1).float()


def test_success_by_hand_with_and_without_the_class_itself():
    images = torch.tensor([[9, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 200]], dtype=torch.uint8).view(4, 1, 1, 3)
    labels = torch.tensor([0, 0, 1, 2])
    masks = torch.eye(3).view(3, 1, 1, 3)
    patterns = torch.full((3, 1, 1, 3), 100 / 255)
    options = (Brightest(), images, masks[:2], patterns[:2], [0, 1])
    assert success_rates(*options).tolist() == [0.75, 0.75]
    assert success_rates(*options, labels).tolist() == [0.5, pytest.approx(2 / 3)]
    assert success_rates(Brightest(), images[:2], masks[:1], patterns[:1], [0], labels[:2]).isnan().all()


def test_the_gradient_through_a_frozen_model_is_the_models_own(tiny, digits):
    images = (digits.test.images[:8].float() / 255).requires_grad_()
    with frozen(tiny) as fixed:
        assert not any(type(layer) is torch.nn.BatchNorm2d for layer in fixed.modules())
        (found,) = torch.autograd.grad(fixed(images).logsumexp(1).sum(), images)
    (expected,) = torch.autograd.grad(tiny(images).logsumexp(1).sum(), images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_a_frozen_model_thaws_as_it_was_even_after_an_error():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    model.train()
    model[1].eval()
    model[2].weight.requires_grad_(False)

    def freeze_and_fail():
        with frozen(model):
            assert not any(module.training for module in model.modules())
            assert not any(parameter.requires_grad for parameter in model.parameters())
            raise KeyError("from within")

    with pytest.raises(KeyError):
        freeze_and_fail()
    assert [module.training for module in model] == [True, False, True]
    assert model.training
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert [name for name, value in wanted.items() if not value] == ["2.weight"]
