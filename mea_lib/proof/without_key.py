"""What a proof without a watermark says where others name their key's classes."""

from mea_lib.data import ImageSet, WatermarkKey


def any_three_classes(test: ImageSet, seed: int) -> WatermarkKey:
    """Classes that `check_task` counts apart: any do, where there is no key.

    Raises:
        ValueError: for fewer than three classes.
    """
    if len(test.classes) < 3:
        raise ValueError(f"a proof without a key needs at least three classes, not {len(test.classes)}")
    return WatermarkKey((0, 1), 2, seed=seed).named(test)
