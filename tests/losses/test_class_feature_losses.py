"""The two losses of Class-Feature Watermark against numpy, scikit-learn and slow loops."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mea_lib.losses import principal_directions, projected_spread_loss, representation_similarity_loss


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_similarity_is_one_minus_the_cosine_of_the_means_layer_by_layer():
    first = [drawn(0, 5, 2, 3, 3) + 0.5, drawn(1, 5, 4)]
    second = [drawn(2, 7, 2, 3, 3) + 0.5, drawn(3, 7, 4)]
    expected = 0.0
    for one, other in zip(first, second, strict=True):
        a, b = (group.numpy().astype(float).mean(0).ravel() for group in (one, other))
        expected += 1 - a @ b / np.sqrt((a @ a) * (b @ b))
    assert representation_similarity_loss(first, second).item() == pytest.approx(expected, rel=1e-5)


def test_similarity_goes_by_direction_alone():
    layer = drawn(4, 6, 8) + 1
    assert representation_similarity_loss([layer], [3 * layer]).item() == pytest.approx(0, abs=1e-6)
    assert representation_similarity_loss([layer], [-layer]).item() == pytest.approx(2)


def test_other_layers_are_refused():
    with pytest.raises(ValueError, match="same layers"):
        representation_similarity_loss([drawn(0, 2, 3)], [])
    with pytest.raises(ValueError, match="one shape"):
        representation_similarity_loss([drawn(0, 2, 3)], [drawn(0, 2, 4)])


def test_spread_is_the_mean_projection_of_all_differences():
    outputs, directions = drawn(5, 6, 4), drawn(6, 3, 4)  # three directions among four logits
    total = [
        abs(float((one - other) @ direction) / float(direction.norm()))
        for one in outputs
        for other in outputs
        for direction in directions
    ]
    assert projected_spread_loss(outputs, directions).item() == pytest.approx(np.mean(total), rel=1e-5)


def test_spread_across_the_directions_costs_nothing():
    along = torch.tensor([[1.0, 0.0, 0.0]])
    outputs = torch.tensor([[2.0, 5.0, -1.0], [2.0, -7.0, 3.0]])
    assert projected_spread_loss(outputs, along).item() == 0
    assert projected_spread_loss(outputs + torch.tensor([[0.0], [1.0]]), along).item() == pytest.approx(0.5)


def test_directions_are_those_of_scikit_learn():
    logits, labels = drawn(7, 40, 4), torch.arange(40) % 3
    logits[:, 1] *= 1 + labels
    found = principal_directions(logits, labels, 4)
    for one in range(3):
        expected = PCA(1).fit(logits[labels == one].double().numpy()).components_[0]
        assert abs(float(found[one].double() @ torch.from_numpy(expected))) == pytest.approx(1, abs=1e-5)
    assert found[3].tolist() == [0, 0, 0, 0]
