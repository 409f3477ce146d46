"""What chapters show of encoders: a probe's report against one made by hand, and one panel an encoder."""

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib import proof
from mea_lib.data import watermark_samples
from mea_lib.teaching import encoder_spaces, probe_report, probe_table
from mea_lib.training import fit_linear_probe

matplotlib.use("Agg")


class Pixels(nn.Module):
    """An encoder whose features are some of the pixels."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1 / 255))
        self.step = step

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :: self.step] * self.factor


@pytest.fixture
def pixels():
    return Pixels(2)


def test_a_report_is_what_a_probe_says(pixels, digits, key):
    report = probe_report(pixels, digits, key, 100, labelled=400)
    probe = mea.Oracle(fit_linear_probe(pixels, digits.owner, images=400))
    assert report.accuracy == proof.accuracy(probe, digits.test) > 0.7
    assert report.mark == proof.watermark_success_rate(probe, key, digits.test, 100)
    wrong = proof.wrong_firing_rates(probe, key, digits.test, 100)
    assert report.elsewhere == pytest.approx(np.mean([rate.value for rate in wrong.values()]))
    assert str(report.mark) in str(probe_table({"pixels": report}, "of digits"))


def test_more_labelled_images_than_there_are_means_all(pixels, digits, key):
    everything = probe_report(pixels, digits, key, 50, labelled=10**6)
    assert everything == probe_report(pixels, digits, key, 50, labelled=len(digits.owner))


def test_each_encoder_has_a_panel_with_the_keys_classes(pixels, digits, key):
    combined = watermark_samples(digits.test, key, 30)
    axes = encoder_spaces({"fine": pixels, "coarse": Pixels(5)}, digits.test, key, combined)
    assert [axis.get_title() for axis in axes] == ["fine", "coarse"]
    for axis in axes:
        points = {part.get_label(): len(part.get_offsets()) for part in axis.collections}
        assert points["combined"] == 30
        for name in (*key.sources, key.target):
            assert points[name] == len(digits.test.of_class(name))
        assert points["other classes"] == len(digits.test) - sum(
            points[name] for name in (*key.sources, key.target)
        )
    matplotlib.pyplot.close("all")
