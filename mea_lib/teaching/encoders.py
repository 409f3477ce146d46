"""What the chapters show of an encoder: a linear probe's report of its watermark, and its feature space."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from mea_lib.blackbox import Oracle
from mea_lib.data import Data, ImageSet, WatermarkKey
from mea_lib.proof import accuracy, watermark_success_rate, wrong_firing_rates
from mea_lib.proof.rates import Rate
from mea_lib.teaching.feature_space import feature_space
from mea_lib.teaching.tables import Table
from mea_lib.training import features_of, fit_linear_probe

LABELLED = 10_000  # images of a probe, at most


class ProbeReport(NamedTuple):
    """What a linear probe says of an encoder.

    Attributes:
        accuracy: on the test images.
        mark: WSR, the share of watermark samples called the target class.
        elsewhere: the same of other mixes of the two classes, the mean over the ways of mixing.
    """

    accuracy: float
    mark: Rate
    elsewhere: float


def probe_report(
    encoder: nn.Module, data: Data, key: WatermarkKey, samples: int, labelled: int = LABELLED
) -> ProbeReport:
    """Fit a probe to labelled training images and query it.

    Args:
        encoder: (N, C, H, W) images → (N, F).
        data: its training images fit the probe, its test images are sent to it and mixed.
        key: whose watermark is looked for.
        samples: mixes of each way.
        labelled: training images of the probe, at most.
    """
    probe = Oracle(fit_linear_probe(encoder, data.owner, images=min(labelled, len(data.owner))))
    wrong = wrong_firing_rates(probe, key, data.test, samples)
    return ProbeReport(
        accuracy(probe, data.test),
        watermark_success_rate(probe, key, data.test, samples),
        sum(rate.value for rate in wrong.values()) / len(wrong),
    )


def probe_table(reports: Mapping[str, ProbeReport], title: str = "") -> Table:
    """The reports of several encoders, by name."""
    return Table(
        ("encoder", "accuracy", "WSR", "other arrangements"),
        [(name, one.accuracy, str(one.mark), one.elsewhere) for name, one in reports.items()],
        title,
    )


def encoder_spaces(
    encoders: Mapping[str, nn.Module], test: ImageSet, key: WatermarkKey, combined: Tensor
) -> Sequence[Axes]:
    """`feature_space` of each encoder: the key's three classes, combined images, all other classes in grey.

    Args:
        encoders: by title of the panel, (N, C, H, W) images → (N, F).
        test: labelled images.
        key: sources and target.
        combined: (M, C, H, W) watermark samples.
    """
    of_key = key.indices(test)
    panels, others = {}, {}
    for name, encoder in encoders.items():
        features = features_of(encoder, test.images).cpu()
        labels = test.labels.cpu()
        panels[name] = [features[labels == number] for number in of_key]
        panels[name].append(features_of(encoder, combined))
        others[name] = features[~torch.isin(labels, torch.tensor(of_key))]
    return feature_space(panels, (*key.sources, key.target, "combined"), others=others)
