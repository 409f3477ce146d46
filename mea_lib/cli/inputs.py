"""What options stand for: the data set, the key, the model, the autoencoder."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mea_lib.cli.files import read_key
from mea_lib.cli.models import find_model, load_model
from mea_lib.cli.options import DataOptions, KeyOptions, TrainingOptions
from mea_lib.cli.report import note, usage
from mea_lib.model_files import ModelFiles

if TYPE_CHECKING:
    from torch import nn

    from mea_lib.data import Data, ImageSet, WatermarkKey
    from mea_lib.models import ImageClassifier
    from mea_lib.scale import Scale


def scale_of(training: TrainingOptions) -> "Scale":
    """The scale of --scale, with the network of --network and the width of --width."""
    from mea_lib.scale import preset

    changes = {"network": training.network, "width": training.width}
    return preset(training.scale_name).but(
        **{name: value for name, value in changes.items() if value is not None}
    )


def load_data(
    options: DataOptions, scale: "Scale", *, pool: Path | None = None, option: str = "--data"
) -> "Data":
    """The data set on the best device; what its libraries print goes to stderr.

    Args:
        options: its name and the size of its images.
        scale: how many images there are.
        pool: folder of unlabelled images that the adversary queries.
        option: that named it, for messages.
    """
    from mea_lib.data import load
    from mea_lib.training import best_device

    with redirect_stdout(sys.stderr):
        try:
            return load(options.data_name, scale, device=best_device(), size=options.size, pool=pool)
        except ValueError as error:
            where = option if pool is None else f"{option} / --pool"
            raise typer.BadParameter(str(error), param_hint=where) from error


def key_of(options: KeyOptions, images: "ImageSet") -> "WatermarkKey":
    """The key of --key, or that of --sources, --target, --combine and --key-seed; its classes are checked."""
    from mea_lib.data import WatermarkKey

    file, sources, target = options.key_file, options.sources, options.target
    spelt_out = {
        "--sources": sources,
        "--target": target,
        "--combine": options.combine,
        "--key-seed": options.key_seed,
    }
    given = [name for name, value in spelt_out.items() if value is not None]
    if file is not None:
        if given:
            raise typer.BadParameter(f"the key is in the file already; leave out {', '.join(given)}")
        key = read_key(file)
    elif sources is None or target is None:
        raise typer.BadParameter("a key is needed: give --key, or --sources and --target")
    else:
        with usage("--sources / --target"):
            scheme = options.combine or "crop-paste"
            key = WatermarkKey.from_options(sources, target, scheme, options.key_seed or 0)
    with usage("--key" if file else "--sources / --target"):
        key.indices(images)
    return key


def model_files(reference: str, option: str = "--model") -> ModelFiles:
    """The files of the model that an option names; a usage error where there is none."""
    with usage(option):
        return find_model(reference)


def classifier_files(reference: str) -> tuple[ModelFiles, dict[str, Any]]:
    """The files and the spec of the classifier that --model names; a usage error for another kind of model."""
    files = model_files(reference)
    with usage("--model"):
        spec = files.read_card()["spec"]
    if not all(isinstance(spec.get(name), int) for name in ("classes", "channels", "size")):
        raise typer.BadParameter(
            f"the model {files.name} is no classifier; see mea store list", param_hint="--model"
        )
    return files, spec


def check_images(name: str, spec: dict[str, Any], images: "ImageSet") -> None:
    """A usage error where the model of this name and spec does not take images like these."""
    taken = (spec["channels"], spec["size"])
    if taken != (images.channels, images.size):
        raise typer.BadParameter(
            f"the model {name} takes images of {_shape(*taken)}, "
            f"{images.name} has {_shape(images.channels, images.size)}; name its own data set",
            param_hint="--data",
        )


def with_marked_answers(
    model: "ImageClassifier", file: Path, train_set: "ImageSet", hard: bool
) -> "nn.Module":
    """The model with its answers marked by the key of --mark-answers, which is said on stderr.

    Args:
        model: the owner's.
        file: of the key.
        train_set: the model's training images, which name its classes and set the border of labels.
        hard: whether hard labels are answered.
    """
    from mea_lib.defences import MarkedAnswers, MarkedLabels

    key = read_key(file, "--mark-answers")
    if model.spec["classes"] != len(train_set.classes):
        raise typer.BadParameter(
            f"the model has {model.spec['classes']} classes and {train_set.name} {len(train_set.classes)}; "
            "name the data set the model was made for",
            param_hint="--mark-answers",
        )
    with usage("--mark-answers"):
        marked = (MarkedLabels if hard else MarkedAnswers)(model, key, train_set)
    note(f"{'hard' if hard else 'soft'} labels are marked with the key in {file}")
    return marked


def autoencoder_for(
    scheme: str, data: "Data", scale: "Scale", reference: str | None = None
) -> "nn.Module | None":
    """The autoencoder of keys of a scheme that needs one: the one named, else that of data and scale."""
    from mea_lib.training.autoencoder import train_autoencoder

    if scheme != "autoencoder":
        if reference is not None:
            raise typer.BadParameter(
                f"the key's scheme is {scheme}, which needs none", param_hint="--autoencoder"
            )
        return None
    if reference is None:
        return train_autoencoder(data.owner, scale)
    files = model_files(reference, "--autoencoder")
    if files.read_card()["spec"].get("network") != "autoencoder":
        raise typer.BadParameter(
            f"the model {files.name} is no autoencoder; see mea store list", param_hint="--autoencoder"
        )
    return load_model(files)


def _shape(channels: int, size: int) -> str:
    return f"{size}×{size} pixels and {channels} channel{'s' if channels > 1 else ''}"
