import math

import pytest
import torch

from mea_lib.losses import feature_distance

ROWS = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0]])
AS_COUNTED = {"mse": (9 + 16 + 4 + 4) / 4, "l1": (3 + 4 + 2 + 2) / 4, "l2": (5 + math.sqrt(8)) / 2}


@pytest.mark.parametrize("distance", AS_COUNTED)
def test_distances_as_counted_by_hand(distance):
    assert feature_distance(*ROWS, distance).item() == pytest.approx(AS_COUNTED[distance])


def test_the_cosine_sees_directions_only():
    first, second = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[5.0, 0.0], [-2.0, 2.0]])
    assert feature_distance(first, second, "cosine").item() == pytest.approx((0 + 1) / 2)


def test_a_forgotten_row_is_not_broadcast():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(1, 2\)"):
        feature_distance(ROWS[0], ROWS[1][:1])


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="choose one of: mse"):
        feature_distance(*ROWS, "hamming")


def test_in_full_precision_under_autocast():
    first, second = (row.bfloat16() for row in ROWS)
    assert feature_distance(first, second).dtype == torch.float32
