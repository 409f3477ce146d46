"""What the task of a job says of its data, its scale and its key. Knows no method, so that a new one changes no row."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mea_lib as mea
from benchmarks.study import changed
from grid.study import OWN_DATA
from mea_lib.data.fetch import DataNotFound

Task = Mapping[str, Any]


def data_of(task: Task) -> mea.Data:
    """The images of a job.

    Raises:
        DataNotFound: where they are not on this machine.
    """
    name = task["data"]
    if name in OWN_DATA:
        folder = Path(os.environ.get("MEA_DATA", "MEA_DATA")).expanduser() / name
        if not folder.is_dir():
            raise DataNotFound(
                f"{name} is not fetched; set MEA_DATA to a folder that holds {name}/train/<class>/*"
            )
        name = str(folder)
    return mea.load(name, scale_of(task), size=task["size"])


def scale_of(task: Task) -> mea.Scale:
    """The scale of a job, with what its study and its owner have otherwise in it."""
    about = task["about"]
    scale = changed(mea.preset(task["scale"]), dict(task["changes"]))
    part = "encoder" if task["encoders"] else "owner"
    owner = getattr(scale, part)
    owner = owner.but(epochs=max(1, round(about["owner_times"] * owner.epochs)))
    if about["owner_augment"] is not None:
        owner = owner.but(augment=about["owner_augment"])
    return scale.but(network=about["network"] or scale.network, **{part: owner})


def key_of(task: Task) -> mea.WatermarkKey:
    """The key of a job."""
    return mea.WatermarkKey(**{**task["key"], "sources": tuple(task["key"]["sources"])})
