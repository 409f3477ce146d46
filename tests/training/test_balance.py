"""Loss weighting against independent references."""

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from mea_lib.training import (
    FeatureBalance,
    FixedBalance,
    MGDABalance,
    Terms,
    TwoGroupBalance,
    gradient_cosines,
    least_norm_weights,
)
from mea_lib.training import balance as balance_module


def slow_least_norm(gramian: np.ndarray) -> np.ndarray:
    """min αᵀGα over the simplex by a general solver."""
    n = len(gramian)
    answer = minimize(
        lambda a: a @ gramian @ a,
        np.full(n, 1 / n),
        jac=lambda a: 2 * gramian @ a,
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return answer.x


@pytest.mark.parametrize("seed", range(6))
def test_least_norm_weights_equal_a_slow_quadratic_program(seed):
    gradients = torch.randn(4, 30, generator=torch.Generator().manual_seed(seed))
    gradients[1] *= 5
    gramian = gradients @ gradients.T
    weights = least_norm_weights(gramian, torch.ones(4))
    reference = slow_least_norm(gramian.numpy().astype(float))
    assert weights.sum().item() == pytest.approx(1, abs=1e-5)
    assert (weights >= 0).all()
    value = (weights @ gramian @ weights).item()
    assert value <= reference @ gramian.numpy() @ reference * 1.02


def test_two_gradients_have_a_closed_form():
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])
    gramian = torch.tensor([[first @ first, first @ second], [second @ first, second @ second]])
    assert least_norm_weights(gramian, torch.ones(2))[0].item() == pytest.approx(0.9, abs=1e-3)


def test_raw_gradients_favour_the_smallest_and_normalised_ones_do_not():
    gramian = torch.diag(torch.tensor([100.0, 1.0]))
    raw = least_norm_weights(gramian, torch.ones(2))
    normalised = least_norm_weights(gramian, torch.ones(2), "l2") * gramian.diagonal().sqrt()
    assert raw[1] > 0.9
    assert normalised[0].item() == pytest.approx(0.5, abs=1e-3)


@pytest.fixture
def problem():
    torch.manual_seed(0)
    network = nn.Linear(5, 3)
    head = nn.Linear(3, 2)
    inputs = torch.randn(7, 5)

    def terms():
        features = network(inputs)
        out = head(features)
        losses = {
            "utility": out.pow(2).mean(),
            "combination": (out[:, 0] - 1).pow(2).mean(),
            "verification": out.abs().mean(),
            "evasion": (out.sum(1) + 2).pow(2).mean(),
        }
        return Terms(losses, features)

    return [*network.parameters(), *head.parameters()], terms


def gradient(parameters):
    return torch.cat([parameter.grad.flatten() for parameter in parameters])


def reset(parameters):
    for parameter in parameters:
        parameter.grad = None


def test_fixed_balance_is_the_gradient_of_the_weighted_sum(problem):
    parameters, terms = problem
    FixedBalance({"evasion": 0.25}).backward(terms(), parameters)
    got = gradient(parameters)
    reset(parameters)
    losses = terms().losses
    (losses["utility"] + losses["combination"] + losses["verification"] + 0.25 * losses["evasion"]).backward()
    torch.testing.assert_close(got, gradient(parameters))


@pytest.mark.parametrize("normalise", ["none", "l2", "loss+"])
def test_mgda_writes_the_sum_its_weights_say(problem, normalise):
    parameters, terms = problem
    weights = MGDABalance(normalise).backward(terms(), parameters)
    got = gradient(parameters)
    reset(parameters)
    sum(weights[name] * loss for name, loss in terms().losses.items()).backward()
    torch.testing.assert_close(got, gradient(parameters), rtol=1e-4, atol=1e-6)


def test_mgda_descends_on_every_loss(problem):
    parameters, terms = problem
    MGDABalance("none").backward(terms(), parameters)
    direction = gradient(parameters)
    for loss in terms().losses.values():
        parts = torch.autograd.grad(loss, parameters, retain_graph=True)
        assert direction @ torch.cat([part.flatten() for part in parts]) > -1e-5


@pytest.mark.parametrize(
    "balance", [MGDABalance("l2"), MGDABalance("loss+"), TwoGroupBalance(), FeatureBalance()]
)
def test_loss_scaling_scales_the_gradient_and_not_the_weights(problem, balance):
    parameters, terms = problem
    plain = balance.backward(terms(), parameters)
    reference = gradient(parameters)
    reset(parameters)
    scaled = balance.backward(terms(), parameters, scale=1024.0)
    assert scaled == pytest.approx(plain, rel=1e-3)
    torch.testing.assert_close(gradient(parameters) / 1024, reference, rtol=1e-3, atol=1e-6)


def test_feature_balance_solves_the_problem_on_the_features(problem):
    parameters, terms = problem
    made = terms()
    jacobian = torch.stack(
        [
            torch.autograd.grad(loss, made.features, retain_graph=True)[0].flatten()
            for loss in made.losses.values()
        ]
    )
    weights = FeatureBalance("none").backward(terms(), parameters)
    reference = slow_least_norm((jacobian @ jacobian.T).numpy().astype(float))
    found = np.array(list(weights.values()))
    gramian = (jacobian @ jacobian.T).numpy()
    assert found @ gramian @ found <= reference @ gramian @ reference * 1.02


def test_released_variant_raises_its_extra_weight_on_every_tenth_epoch(problem):
    parameters, terms = problem
    balance = TwoGroupBalance()
    assert balance.backward(terms(), parameters, epoch=0)["extra"] == 2
    assert balance.backward(terms(), parameters, epoch=9)["extra"] == 12


def test_released_variant_is_the_authors_line(problem):
    """loss_A + scales['ce2']·(loss_B + distillation) + 2·distillation, their scales by a search here."""
    parameters, terms = problem
    losses = terms().losses | {"contrastive": terms().losses["utility"] * 0.3}
    first = losses["utility"] + losses["verification"] + losses["evasion"]
    second = losses["combination"] + losses["contrastive"]
    rows = []
    for loss in (first, second):
        parts = torch.autograd.grad(loss, parameters, retain_graph=True)
        row = torch.cat([part.flatten() for part in parts])
        rows.append(row / (min(loss.item() * row.norm().item(), 10) + 1e-5))
    shares = torch.linspace(0.001, 0.999, 9_981)
    lengths = ((1 - shares)[:, None] * rows[0] + shares[:, None] * rows[1]).norm(dim=1)
    share = shares[lengths.argmin()].item()
    total = first + share * second + 2 * losses["combination"]
    wanted = torch.cat([part.flatten() for part in torch.autograd.grad(total, parameters, retain_graph=True)])
    weights = TwoGroupBalance().backward(Terms(losses), parameters)
    assert list(weights) == ["utility+verification+evasion", "combination+contrastive", "extra"]
    assert list(weights.values()) == pytest.approx([1, share, 2], abs=2e-3)
    torch.testing.assert_close(gradient(parameters), wanted, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("one, between, other, weight", [(1, 2, 5, 0.001), (5, 2, 1, 0.999), (4, 0, 1, 0.8)])
def test_two_gradients_are_weighed_as_the_authors_clip_them(one, between, other, weight):
    gramian = torch.tensor([[one, between], [between, other]], dtype=torch.float32)
    assert balance_module._second_of_two(gramian) == pytest.approx(weight)


@pytest.mark.parametrize("balance", [MGDABalance(), TwoGroupBalance()], ids=["MGDA", "two groups"])
@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_fused_step_on_channels_last_weights_is_the_plain_one(tiny, digits, balance, optimiser):
    images, labels = digits.owner.images[:40], digits.owner.labels[:40]
    stepped = []
    for fused in (True, False):
        model = copy.deepcopy(tiny).to(
            memory_format=torch.channels_last if fused else torch.contiguous_format
        )
        parameters = list(model.parameters())
        logits = model(images)
        each = [nn.functional.cross_entropy(logits, (labels + shift) % 10) for shift in range(4)]
        names = ("utility", "evasion", "combination", "verification")
        balance.backward(Terms(dict(zip(names, each, strict=True))), parameters)
        optimiser(parameters, 1e-2, fused=fused).step()
        stepped.append(parameters)
    for fast, plain in zip(*stepped, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)


def test_gradient_cosines_by_hand(problem):
    parameters, terms = problem
    losses = terms().losses
    cosines, lengths = gradient_cosines(losses, parameters)
    rows = [
        torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters, retain_graph=True)])
        for loss in losses.values()
    ]
    torch.testing.assert_close(lengths, torch.stack([row.norm() for row in rows]))
    expected = torch.nn.functional.cosine_similarity(rows[0], rows[3], dim=0)
    torch.testing.assert_close(cosines[0, 3], expected)


def test_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="loss\\+"):
        MGDABalance("length")


@pytest.mark.parametrize("normalise", ["l2", "loss+"])
def test_a_loss_that_is_met_leaves_the_weighting_of_the_others_as_it_is(normalise):
    gradients = torch.randn(3, 30, generator=torch.Generator().manual_seed(0))
    losses = torch.tensor([0.7, 1.3, 0.4])
    alone = least_norm_weights(gradients @ gradients.T, losses, normalise)
    gradients = torch.cat([gradients[:1], torch.zeros(1, 30), gradients[1:]])
    losses = torch.cat([losses[:1], torch.zeros(1), losses[1:]])
    found = least_norm_weights(gradients @ gradients.T, losses, normalise)
    assert found[1] == 0
    torch.testing.assert_close(found[[0, 2, 3]], alone)


def test_where_every_loss_is_met_nothing_has_a_weight():
    assert least_norm_weights(torch.zeros(2, 2), torch.zeros(2), "l2").tolist() == [0, 0]


def test_a_fixed_weight_for_a_loss_that_is_not_there(problem):
    parameters, terms = problem
    with pytest.raises(
        ValueError, match="fixed weights were given for source guard, but the losses are utility"
    ):
        MGDABalance(fixed={"source guard": 1.0}).backward(terms(), parameters)


def test_a_loss_of_neither_group_and_a_group_without_a_loss(problem):
    parameters, terms = problem
    guard = Terms(terms().losses | {"source guard": terms().losses["utility"]})
    with pytest.raises(ValueError, match="source guard is in neither group"):
        TwoGroupBalance().backward(guard, parameters)
    few = {name: loss for name, loss in terms().losses.items() if name != "combination"}
    with pytest.raises(ValueError, match="is of the group combination, contrastive"):
        TwoGroupBalance().backward(Terms(few), parameters)
