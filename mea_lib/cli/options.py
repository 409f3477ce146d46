"""Options that several commands share, and the groups in which they come."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mea_lib.cli.completion import (
    complete_class,
    complete_data,
    complete_model,
    complete_server,
    complete_suspect,
)
from mea_lib.cli.files import new_file, new_model, ordinary_file
from mea_lib.names import DATA_SETS, NETWORKS, SCHEMES
from mea_lib.scale import SCALES

DEFAULT_ALPHA = 0.01
DEFAULT_SAMPLES = 1_000


def file_to_read(name: str, words: str) -> Any:
    """An option that names a file to read."""
    return _file(name, words, ordinary_file, exists=True)


def file_to_write(name: str, words: str, check: Callable[[Path | None], Path | None] = new_file) -> Any:
    """An option that names a file to write; `check` is its callback."""
    return _file(name, words, check)


def data_option(name: str, words: str) -> Any:
    """An option that names a data set."""
    return typer.Option(name, metavar="NAME|FOLDER", autocompletion=complete_data, help=words)


def model_option(name: str, words: str) -> Any:
    """An option that names a model."""
    return typer.Option(name, metavar="ID|FILE", autocompletion=complete_model, help=words)


def number_option(name: str, words: str, least: float | None = None) -> Any:
    """An option that is a number, of at least `least`."""
    return typer.Option(name, metavar="NUMBER", min=least, callback=_number, help=words)


def _file(name: str, words: str, check: Callable[[Path | None], Path | None], **settings: Any) -> Any:
    return typer.Option(name, metavar="FILE", dir_okay=False, callback=check, help=words, **settings)


def _number(value: float | None) -> float | None:
    """Callback of an option that is a number, which NaN is not: no bound would stop it."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("must be a number, not nan")
    return value


def _share(value: float | None) -> float | None:
    """Callback of an option that decides nothing at 0 and at 1."""
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"must lie between 0 and 1, not {value:g}")
    return value


ScaleName = Annotated[
    Literal[SCALES], typer.Option("--scale", envvar="MEA_SCALE", help="How much is trained and measured.")
]
DataName = Annotated[
    str, data_option("--data", f"Data set: {', '.join(DATA_SETS)}, or a folder of class folders.")
]
DataSize = Annotated[
    int | None,
    number_option(
        "--size",
        "Height and width in pixels to which all images are brought.  [default: as they are, all of one size]",
        1,
    ),
]
KeyFile = Annotated[Path | None, file_to_read("--key", "The key, as commit or --key-out wrote it.")]
_OF_THE_STORE = "A model of the store by its id or the id's unique beginning, "
ModelName = Annotated[
    str | None,
    model_option(
        "--model", f"{_OF_THE_STORE}or the path of its .safetensors or .json file, the other beside it."
    ),
]


@dataclass(frozen=True)
class DataOptions:
    """The data set, and the size of its images."""

    data_name: DataName = "fashion-mnist"
    size: DataSize = None


@dataclass(frozen=True)
class KeyOptions:
    """The owner's key: in a file, or spelt out."""

    key_file: KeyFile = None
    sources: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--sources",
            metavar="CLASS CLASS",
            autocompletion=complete_class,
            help="The key's two source classes, first and second.",
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="CLASS",
            autocompletion=complete_class,
            help="The key's target class, which combined images are to be called.",
        ),
    ] = None
    combine: Annotated[
        Literal[SCHEMES] | None,
        typer.Option("--combine", help="The key's combining scheme.  [default: crop-paste]"),
    ] = None
    key_seed: Annotated[
        int | None,
        number_option(
            "--key-seed", "The key's seed, which draws the samples of a verification.  [default: 0]"
        ),
    ] = None


@dataclass(frozen=True)
class TrainingOptions:
    """How a model is trained, and where it is copied to."""

    scale_name: ScaleName = "laptop"
    network: Annotated[
        Literal[NETWORKS] | None, typer.Option("--network", help="Its network.  [default: that of the scale]")
    ] = None
    width: Annotated[
        int | None, number_option("--width", "Channels of its first layer.  [default: that of the scale]", 1)
    ] = None
    epochs: Annotated[
        int | None, number_option("--epochs", "Epochs of its training.  [default: that of the scale]", 1)
    ] = None
    seed: Annotated[int, number_option("--seed", "Of its weights and of every draw of its training.")] = 0
    out: Annotated[
        Path | None,
        file_to_write(
            "--out",
            "Copy the model here too: a .safetensors file, and its card beside it as .json.",
            new_model,
        ),
    ] = None


@dataclass(frozen=True)
class AnswerOptions:
    """What a model on disk answers."""

    top_k: Annotated[
        int | None, number_option("--top-k", "--model answers with its largest probabilities only.", 1)
    ] = None
    decimals: Annotated[
        int | None, number_option("--decimals", "--model rounds its probabilities to so many places.", 0)
    ] = None
    noise: Annotated[
        float | None,
        number_option(
            "--noise", "Standard deviation of noise on every probability of --model.  [default: 0]", 0
        ),
    ] = None
    mark_answers: Annotated[
        Path | None,
        file_to_read(
            "--mark-answers",
            "The owner's key: the answers of --model are marked with it, soft labels at no accuracy, hard "
            "labels at a little.",
        ),
    ] = None


@dataclass(frozen=True)
class SuspectOptions:
    """The model that is queried: on disk, or behind an HTTP API."""

    model: Annotated[
        str | None,
        model_option(
            "--model",
            f"{_OF_THE_STORE}the path of its .safetensors or .json file, or a file of another program: .onnx, "
            "TorchScript, or weights in .pth or .pt.",
        ),
    ] = None
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A model behind an HTTP API, as mea serve gives it."),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TEXT",
            envvar="MEA_TOKEN",
            help="Token for --url. A command line can be read by others on the machine; the variable cannot.",
        ),
    ] = None
    query_log: Annotated[
        Path | None,
        file_to_write(
            "--query-log",
            "Keep every answer of --url here, so that an interrupted run goes on where it was.",
        ),
    ] = None
    server: Annotated[
        list[str] | None,
        typer.Option(
            "--server",
            metavar="NAME=VALUE",
            autocompletion=complete_server,
            help="How the server of --url is queried, where it does not say, such as model=digits or timeout=60; "
            "may be given several times.",
        ),
    ] = None
    suspect: Annotated[
        list[str] | None,
        typer.Option(
            "--suspect",
            metavar="NAME=VALUE",
            autocompletion=complete_suspect,
            help="What the model takes and answers, where it does not say, such as input_range=0,1, mean=0.5,0.5,0.5, "
            "layout=last, answers=logits, label_names=FILE or network=resnet18; may be given several times.",
        ),
    ] = None


@dataclass(frozen=True)
class PlanOptions:
    """How a suspect is verified; what is None can be fixed by a commitment."""

    samples: Annotated[
        int | None, number_option("--samples", "Watermark samples a suspect is asked.  [default: 1000]", 1)
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="SHARE",
            callback=_share,
            help="Watermark success rate (WSR) that must be exceeded.  [default: 0.3]",
        ),
    ] = None
    alpha: Annotated[
        float | None,
        typer.Option(
            "--alpha",
            metavar="SHARE",
            callback=_share,
            help="Level of the test: a p-value must be below it.  [default: 0.01]",
        ),
    ] = None
    arrangement: Annotated[
        bool,
        typer.Option(
            "--arrangement",
            help="Claim the key's own arrangement: every other one of the same classes must do less.",
        ),
    ] = False
    clean: Annotated[
        list[str] | None,
        model_option(
            "--clean",
            "A model of the same task, trained without the owner's: a key that it obeys proves nothing; may be given "
            "several times.",
        ),
    ] = None
    scale_name: ScaleName = "laptop"
    autoencoder: Annotated[
        str | None,
        model_option(
            "--autoencoder",
            "For keys whose scheme is autoencoder: the one that blends. Without it, that of the scale is "
            "found or trained.",
        ),
    ] = None
