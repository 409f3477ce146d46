"""Muon against what it is said to do, and against a slow loop written out."""

import pytest
import torch
from torch import nn

from mea_lib.models import Input, build
from mea_lib.training import Clean, Terms, TrainingSettings, train
from mea_lib.training.muon import Muon, orthogonalised

TASK = TrainingSettings(8, 64, optimizer="muon", schedule="linear", augment=False)


def random_matrix(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 8), (8, 72), (72, 8), (16, 9), (1, 9), (32, 288)])
def test_singular_values_end_near_one_and_singular_vectors_stay(shape):
    matrix = random_matrix(*shape)
    found = orthogonalised(matrix, steps=8)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.diagonal(left.T @ found @ right.T)
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(left @ torch.diag(values) @ right, found, atol=1e-4, rtol=0)


def test_four_steps_bring_the_values_of_a_gradient_near_one():
    values = torch.linalg.svdvals(orthogonalised(random_matrix(16, 144)))
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_length_of_a_gradient_does_not_count(factor):
    matrix = random_matrix(8, 18)
    torch.testing.assert_close(orthogonalised(factor * matrix), orthogonalised(matrix))


def test_a_gradient_of_zeros_moves_nothing():
    assert torch.equal(orthogonalised(torch.zeros(4, 9)), torch.zeros(4, 9))


def slow_step(kernel, gradient, momentum, rate, decay):
    """One step of one kernel, entry by entry: the running sum, Nesterov's look ahead, four Newton–Schulz steps."""
    outputs = kernel.shape[0]
    momentum = decay * momentum + gradient
    ahead = (gradient + decay * momentum).reshape(outputs, -1).double()
    x = ahead / ahead.pow(2).sum().sqrt()
    for _ in range(4):
        cubed = x @ x.T @ x
        x = 3.4445 * x - 4.7750 * cubed + 2.0315 * x @ x.T @ cubed
    kernel = kernel * outputs**0.5 / kernel.pow(2).sum().sqrt()
    return kernel - rate * x.reshape(kernel.shape).float(), momentum


@pytest.mark.parametrize("channels_last", [False, True])
def test_steps_equal_those_of_a_slow_loop(channels_last):
    shapes = [(4, 3, 3, 3), (4, 3, 3, 3), (16, 1, 3, 3), (2, 8, 1, 1)]
    own = [random_matrix(*shape, seed=number) for number, shape in enumerate(shapes)]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    kernels = [nn.Parameter(kernel.clone().to(memory_format=layout)) for kernel in own]
    optimizer = Muon(kernels, lr=0.05, momentum=0.6)
    momenta = [torch.zeros_like(kernel) for kernel in own]
    for step in range(4):
        for number, kernel in enumerate(kernels):
            gradient = random_matrix(*kernel.shape, seed=10 * step + number)
            kernel.grad = gradient.clone().to(memory_format=layout)
            own[number], momenta[number] = slow_step(own[number], gradient, momenta[number], 0.05, 0.6)
        optimizer.step()
    for kernel, expected in zip(kernels, own, strict=True):
        torch.testing.assert_close(kernel.detach(), expected, atol=1e-4, rtol=1e-4)


def test_kernels_keep_their_norm():
    kernels = [nn.Parameter(random_matrix(8, 4, 3, 3)), nn.Parameter(100 * random_matrix(2, 4, 3, 3))]
    optimizer = Muon(kernels, lr=1e-6)
    for _ in range(3):
        for kernel in kernels:
            kernel.grad = random_matrix(*kernel.shape)
        optimizer.step()
    assert [kernel.norm().item() for kernel in kernels] == pytest.approx([8**0.5, 2**0.5], rel=1e-4)


def test_a_kernel_without_a_gradient_stays():
    still, moved = (nn.Parameter(random_matrix(4, 2, 3, 3, seed=seed)) for seed in (0, 1))
    before = [still.detach().clone(), moved.detach().clone()]
    moved.grad = torch.ones_like(moved)
    Muon([still, moved]).step()
    assert torch.equal(still, before[0])
    assert not torch.equal(moved, before[1])


def cross_entropy(data):
    def objective(model, batch):
        logits = model(batch.images)
        return Terms({"loss": nn.functional.cross_entropy(logits, data.labels[batch.index])})

    return objective


class WithoutNormalisation(nn.Module):
    """Two convolutions and a linear layer, nothing that would take up a kernel's norm."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten()
        )
        self.head = nn.Linear(16 * 9, 10)

    def forward(self, images):
        return self.head(self.layers(images.float() / 255 - 0.3))


def test_a_network_without_batch_normalisation_learns(digits):
    torch.manual_seed(0)
    model = WithoutNormalisation()
    history = train(model, digits.owner.images, cross_entropy(digits.owner), TASK)
    losses = history.losses["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_frozen_layers_stay_and_the_others_are_trained(digits):
    few = digits.owner.subset(128)
    model = build("nine_layer_cnn", Input.of(few), classes=10, width=2)
    frozen = model.body[0][0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.named_parameters()}
    train(model, few.images, cross_entropy(few), TASK.but(epochs=1))
    same = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert torch.equal(frozen, before["body.0.0.weight"])
    assert same == {"body.0.0.weight"}


@pytest.mark.parametrize("enabled", [False, True])
def test_it_steps_under_a_scaler_of_losses(enabled):
    """A scaler that is off passes gradients on as they are; one that is on divides them first."""
    kernels = [nn.Parameter(random_matrix(4, 2, 3, 3)) for _ in range(2)]
    gradient = random_matrix(4, 2, 3, 3, seed=1)
    scaler = torch.amp.GradScaler("cpu", enabled=enabled, init_scale=64.0)
    scaled, plain = (Muon([kernel]) for kernel in kernels)
    scaler.scale((kernels[0] * gradient).sum()).backward()
    (kernels[1] * gradient).sum().backward()
    scaler.step(scaled)
    scaler.update()
    plain.step()
    torch.testing.assert_close(kernels[0], kernels[1])


def test_all_rates_of_the_loop_fall_together(digits):
    """A gentle fine-tuning under Muon is gentle to the convolutions, too."""
    images = digits.owner.subset(256)

    def directions(settings):
        model = build("nine_layer_cnn", Input(1, 16, [0.5], [0.5]), classes=10, width=4)
        train(model, images.images, Clean().objective(images), settings)
        return [nn.functional.normalize(value.flatten(), dim=0) for value in model.parameters()]

    still, usual, gentle = (directions(TASK.but(epochs=2).rates_times(factor)) for factor in (1e-9, 1, 1e-3))
    for before, moved, slightly in zip(still, usual, gentle, strict=True):
        assert (slightly - before).norm() <= 0.1 * (moved - before).norm()
