"""The soft nearest neighbour loss against a slow loop, its closed forms and its invariances."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mea_lib.losses import soft_nearest_neighbor_loss
from mea_lib.losses.soft_nearest_neighbor import NEIGHBOUR_DISTANCES

GROUPS = torch.tensor([0, 0, 0, 1, 1, 2, 2])


def points(seed, number=7, size=5):
    return torch.randn(number, size, generator=torch.Generator().manual_seed(seed))


def by_hand(rows, groups, temperature, distance):
    """The formula, one pair after the other, in double precision."""
    rows, total = rows.double().flatten(1).numpy(), 0.0
    for i in range(len(rows)):
        own = every = 0.0
        for k in range(len(rows)):
            if k == i:
                continue
            if distance == "cosine":
                lengths = math.sqrt((rows[i] ** 2).sum()) * math.sqrt((rows[k] ** 2).sum())
                apart = 1 - float((rows[i] * rows[k]).sum()) / lengths
            else:
                apart = float(((rows[i] - rows[k]) ** 2).sum())
            closeness = math.exp(-apart / temperature)
            every += closeness
            own += closeness if groups[i] == groups[k] else 0.0
        total -= math.log(own / every)
    return total / len(rows)


@pytest.mark.parametrize("distance", NEIGHBOUR_DISTANCES)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
def test_it_is_the_papers_formula(temperature, distance):
    found = soft_nearest_neighbor_loss(points(0), GROUPS, temperature, distance).item()
    assert found == pytest.approx(by_hand(points(0), GROUPS, temperature, distance), rel=1e-4)


def test_maps_of_a_layer_count_as_one_vector():
    maps = points(0, 7, 12).view(7, 3, 2, 2)
    found = soft_nearest_neighbor_loss(maps, GROUPS, 0.5)
    assert found.item() == pytest.approx(by_hand(maps, GROUPS, 0.5, "cosine"), rel=1e-4)


@pytest.mark.parametrize("distance", NEIGHBOUR_DISTANCES)
def test_what_cannot_be_told_apart_gives_the_logarithm_of_the_sizes(distance):
    halves = torch.tensor([0] * 6 + [1] * 6)
    for rows, temperature in ((torch.ones(12, 3), 1.0), (points(0, 12), 1e6)):
        found = soft_nearest_neighbor_loss(rows, halves, temperature, distance).item()
        assert found == pytest.approx(math.log(11 / 5), rel=1e-4)


def test_groups_that_lie_apart_give_nothing_and_mixed_ones_more_than_chance():
    apart = torch.eye(2)[[0, 0, 1, 1]]
    assert soft_nearest_neighbor_loss(apart, torch.tensor([0, 0, 1, 1]), 0.05) < 1e-6
    assert soft_nearest_neighbor_loss(apart, torch.tensor([0, 1, 0, 1]), 0.05) > math.log(3) + 1


@given(seed=st.integers(0, 1000), length=st.floats(0.1, 50), temperature=st.floats(0.05, 5))
@settings(deadline=None, max_examples=25)
def test_order_names_and_lengths_do_not_matter_and_it_is_never_negative(seed, length, temperature):
    rows = points(seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    for distance in NEIGHBOUR_DISTANCES:
        loss = soft_nearest_neighbor_loss(rows, GROUPS, temperature, distance)
        assert loss >= 0
        turned, renamed = (rows[order], GROUPS[order]), (rows, 9 - GROUPS)
        for other in (turned, renamed):
            again = soft_nearest_neighbor_loss(*other, temperature, distance)
            torch.testing.assert_close(again, loss, rtol=1e-4, atol=1e-5)
        longer = (
            length * rows,
            GROUPS,
            temperature * (length**2 if distance == "euclidean" else 1),
            distance,
        )
        torch.testing.assert_close(soft_nearest_neighbor_loss(*longer), loss, rtol=1e-3, atol=1e-4)


def test_a_step_up_entangles_and_the_temperature_has_a_gradient():
    rows = torch.cat([points(0, 8) + 2, points(1, 8) - 2]).requires_grad_()
    groups, temperature = torch.tensor([0] * 8 + [1] * 8), torch.tensor(1.0, requires_grad=True)
    before = soft_nearest_neighbor_loss(rows, groups, temperature)
    before.backward()
    after = soft_nearest_neighbor_loss(rows + 0.5 * rows.grad.sign(), groups, temperature)
    assert after > before + 0.05
    step = 1e-3
    above, below = (soft_nearest_neighbor_loss(rows, groups, 1.0 + by) for by in (step, -step))
    assert temperature.grad.item() == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-2)
    assert temperature.grad > 0  # groups that lie apart are kept apart best by looking at the nearest only


@pytest.mark.parametrize("distance", NEIGHBOUR_DISTANCES)
def test_extreme_inputs_give_finite_values_and_gradients(distance):
    rows = torch.cat([1e3 * points(0, 4), -1e3 * points(0, 4)]).requires_grad_()
    loss = soft_nearest_neighbor_loss(rows, torch.tensor([0, 1] * 4), 1e-3, distance)
    loss.backward()
    assert loss.isfinite()
    assert rows.grad.isfinite().all()


def test_under_autocast_it_stays_in_full_precision():
    expected = soft_nearest_neighbor_loss(points(0), GROUPS, 0.2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(soft_nearest_neighbor_loss(points(0), GROUPS, 0.2), expected)
        assert soft_nearest_neighbor_loss(points(0).bfloat16(), GROUPS).dtype == torch.float32


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": GROUPS[:3]}, "one group"),
        ({"groups": torch.arange(7)}, "two or more"),
        ({"temperature": 0.0}, "above 0"),
        ({"distance": "manhattan"}, "cosine, euclidean"),
    ],
)
def test_bad_requests_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        soft_nearest_neighbor_loss(**({"features": points(0), "groups": GROUPS} | given))
