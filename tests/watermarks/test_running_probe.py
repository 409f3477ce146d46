import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mea_lib.watermarks.running_probe import SHRINKAGE, RunningProbe


@pytest.fixture
def clouds():
    """Three clouds of 40 features each, 4 numbers long: (120, 4) and (120,)."""
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(3, 4, generator=generator)
    stretch = torch.randn(4, 4, generator=generator)
    labels = torch.arange(3).repeat(40)
    return centres[labels] + torch.randn(120, 4, generator=generator) @ stretch, labels


def test_one_batch_gives_scikit_learns_discriminant(clouds):
    features, labels = clouds
    probe = RunningProbe(3)
    probe.update(features, labels)
    weight, bias = probe.logits_of()
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(features, labels)
    own = (features @ weight.T + bias).softmax(1)
    np.testing.assert_allclose(own, reference.predict_proba(features.numpy()), atol=1e-4)


def test_batches_in_turn_give_what_one_batch_of_all_gives(clouds):
    features, labels = clouds
    whole, parts = RunningProbe(3), RunningProbe(3, memory=0.999999)
    whole.update(features, labels)
    for some in torch.arange(120).split(17):
        parts.update(features[some], labels[some])
    for expected, found in zip(whole.logits_of(), parts.logits_of(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_old_batches_are_forgotten(clouds):
    features, labels = clouds
    probe = RunningProbe(3, memory=0.5)
    for _ in range(30):
        probe.update(features + 100, labels)
    for _ in range(30):
        probe.update(features, labels)
    torch.testing.assert_close(probe.means[1], features[labels == 1].mean(0), atol=1e-3, rtol=1e-3)


def test_a_temperature_divides_the_logits(clouds):
    probe = RunningProbe(3)
    probe.update(*clouds)
    for warm, cold in zip(probe.logits_of(4.0), probe.logits_of(), strict=True):
        torch.testing.assert_close(4 * warm, cold)


def test_a_class_that_was_not_seen_yet_breaks_nothing(clouds):
    probe = RunningProbe(7)
    probe.update(*clouds)
    assert all(part.isfinite().all() for part in probe.logits_of())


def test_statistics_are_constants_to_the_gradient(clouds):
    features, labels = clouds
    features.requires_grad_()
    probe = RunningProbe(3)
    probe.update(features, labels)
    assert not any(part.requires_grad for part in probe.logits_of())


def test_a_memory_of_one_would_learn_nothing():
    with pytest.raises(ValueError, match="memory"):
        RunningProbe(3, memory=1.0)
