"""All images that a suspect is sent in a verification, before the first one is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.key_check import KeyCheck
from mea_lib.proof.plan import control_images
from mea_lib.proof.samples import Mixes, distinct_other_ways, distinct_samples
from mea_lib.proof.task import probe_images


@dataclass(frozen=True)
class PlannedQueries:
    """What `verify_ownership` sends a suspect that knows the task.

    Attributes:
        probe: clean images of every class.
        family: of each pair of classes, mixes in the key's way.
        watermark: watermark samples.
        control: clean images of the source classes.
        ways: mixes of the source classes in other arrangements, by their names.
    """

    probe: ImageSet
    family: Sequence[Tensor]
    watermark: Mixes
    control: Tensor
    ways: Mapping[str, Mixes]

    @property
    def images(self) -> list[Tensor]:
        """Each of these, (N, C, H, W) uint8."""
        ways = [mixes.images for mixes in self.ways.values()]
        return [self.probe.images, *self.family, self.watermark.images, self.control, *ways]


def planned_queries(
    key: WatermarkKey, test: ImageSet, samples: int, checked: KeyCheck, watermark: Mixes | None = None
) -> PlannedQueries:
    """The queries of a verification.

    Args:
        key: its seed draws them.
        test: the source images.
        samples: watermark samples, at most.
        checked: of this key on null models.
        watermark: the watermark samples, where they are known already.
    """
    return PlannedQueries(
        probe=probe_images(test, key.seed + 5),
        family=[mixes.images for mixes in checked.family],
        watermark=distinct_samples(test, key, samples) if watermark is None else watermark,
        control=control_images(key, test, samples),
        ways=distinct_other_ways(test, key, samples),
    )
