"""SSLGuard's two losses against slow loops in numpy, at their bounds, and where their gradients point."""

import numpy as np
import pytest
import torch

from mea_lib.losses import secret_alignment_loss, secret_orthogonality_loss


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosines(decoded, secret):
    """One by one, in double precision."""
    rows, wanted = decoded.numpy().astype(float), secret.numpy().astype(float)
    return [row @ wanted / (np.sqrt(row @ row) * np.sqrt(wanted @ wanted)) for row in rows]


def test_both_are_means_over_the_rows():
    decoded, secret = drawn(0, 7, 5), drawn(1, 5)
    found = cosines(decoded, secret)
    assert secret_alignment_loss(decoded, secret).item() == pytest.approx(-np.mean(found), rel=1e-5)
    squares = [cosine**2 for cosine in found]
    assert secret_orthogonality_loss(decoded, secret).item() == pytest.approx(np.mean(squares), rel=1e-5)


def test_bounds_are_reached_by_direction_alone():
    secret = drawn(2, 6)
    for length, cosine in ((3.0, 1.0), (-0.5, -1.0)):
        decoded = (length * secret).repeat(4, 1)
        assert secret_alignment_loss(decoded, secret).item() == pytest.approx(-cosine, abs=1e-6)
        assert secret_orthogonality_loss(decoded, secret).item() == pytest.approx(1, abs=1e-6)
    across = drawn(3, 6)
    across -= across @ secret / (secret @ secret) * secret
    for loss in (secret_alignment_loss, secret_orthogonality_loss):
        assert loss(across[None], secret).item() == pytest.approx(0, abs=1e-6)


def test_cosines_of_both_signs_do_not_cancel():
    secret = drawn(4, 3)
    assert secret_orthogonality_loss(torch.stack([secret, -secret]), secret).item() == pytest.approx(1)


@pytest.mark.parametrize("loss", [secret_alignment_loss, secret_orthogonality_loss])
def test_a_step_down_turns_the_rows_and_the_secret_stays(loss):
    decoded, secret = drawn(5, 4, 6).requires_grad_(), drawn(6, 6)
    before = loss(decoded, secret)
    (gradient,) = torch.autograd.grad(before, decoded)
    torch.testing.assert_close((gradient * decoded).sum(1), torch.zeros(4), atol=1e-6, rtol=0)
    assert loss(decoded - 0.1 * gradient, secret) < before


def test_rows_of_another_length_are_not_broadcast():
    for decoded in (drawn(0, 4, 1), drawn(0, 5)):
        with pytest.raises(ValueError, match="rows of its own length"):
            secret_alignment_loss(decoded, drawn(1, 5))


def test_in_full_precision_under_autocast():
    decoded, secret = drawn(0, 4, 8).bfloat16(), drawn(1, 8)
    for loss in (secret_alignment_loss, secret_orthogonality_loss):
        assert loss(decoded, secret).dtype == torch.float32
