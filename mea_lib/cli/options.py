"""Options that several commands share, and what completes them in a shell."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mea_lib.cli.models import stored_ids
from mea_lib.cli.report import keep_debug
from mea_lib.scale import SCALES

# The names of the rooms that import torch, which completion cannot wait for; a test holds them equal.
NETWORKS = ("nine_layer_cnn", "vgg_like", "alexnet", "resnet18", "resnet50", "vggface")
SCHEMES = ("crop-paste", "autoencoder", "pixel-merge", "stripes")
DATA_SETS = ("fashion-mnist", "cifar-10", "cifar-100", "stl-10", "digits")
CLASSES = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "digits": tuple("0123456789"),
    "cifar-10": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    "stl-10": ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
}


def complete_data(incomplete: str) -> list[str]:
    """Names of data sets; a shell completes folders by itself."""
    return [name for name in DATA_SETS if name.startswith(incomplete)]


def complete_class(ctx: typer.Context, incomplete: str) -> list[str]:
    """Classes of the data set given so far: known by heart, or the names of its class folders."""
    data = ctx.params.get("data_name") or "fashion-mnist"
    names = CLASSES.get(data, ())
    folder = Path(data)
    if not names and folder.is_dir():
        folder = folder / "train" if (folder / "train").is_dir() else folder
        names = tuple(sorted(child.name for child in folder.iterdir() if child.is_dir()))
    if os.environ.get("_MEA_COMPLETE") == "complete_bash":  # takes what it gets as it is typed
        names = tuple(name.replace(" ", "\\ ") for name in names)
    return [name for name in names if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Ids of the models in the store."""
    return [identity for identity in stored_ids() if identity.startswith(incomplete)]


AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]
Debug = Annotated[bool, typer.Option("--debug", callback=keep_debug, help="Show where an error came from.")]
ScaleName = Annotated[
    Literal[SCALES], typer.Option("--scale", envvar="MEA_SCALE", help="How much is trained and measured.")
]
DataName = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME|FOLDER",
        autocompletion=complete_data,
        help=f"Data set: {', '.join(DATA_SETS)}, or a folder of class folders.",
    ),
]
Sources = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--sources",
        metavar="CLASS CLASS",
        autocompletion=complete_class,
        help="The key's two source classes, first and second.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="CLASS",
        autocompletion=complete_class,
        help="The key's target class, which combined images are to be called.",
    ),
]
Combine = Annotated[
    Literal[SCHEMES] | None,
    typer.Option("--combine", help="The key's combining scheme.  [default: crop-paste]"),
]
KeySeed = Annotated[
    int | None,
    typer.Option(
        "--key-seed",
        metavar="NUMBER",
        help="The key's seed, which draws the samples of a verification.  [default: 0]",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="The key, as commit or --key-out wrote it.",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID|FILE",
        autocompletion=complete_model,
        help="A model of the store by its id or the id's unique beginning, or the path of its .safetensors "
        "or .json file, the other beside it.",
    ),
]
AutoencoderName = Annotated[
    str | None,
    typer.Option(
        "--autoencoder",
        metavar="ID|FILE",
        autocompletion=complete_model,
        help="For keys whose scheme is autoencoder: the one that blends. Without it, that of the scale is "
        "found or trained.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="A model behind an HTTP API, as mea serve gives it."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TEXT",
        envvar="MEA_TOKEN",
        help="Token for --url. A command line can be read by others on the machine; the variable cannot.",
    ),
]
ServerModel = Annotated[
    str | None,
    typer.Option(
        "--server-model", metavar="NAME", help="Which model of --url, where the server has several."
    ),
]
InputRange = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--input-range",
        metavar="LOW HIGH",
        help="What the pixels 0 and 255 become, where the model of --url takes floats.",
    ),
]
QueryLog = Annotated[
    Path | None,
    typer.Option(
        "--query-log",
        metavar="FILE",
        dir_okay=False,
        help="Keep every answer of --url here, so that an interrupted run goes on where it was.",
    ),
]
Network = Annotated[
    Literal[NETWORKS] | None, typer.Option("--network", help="Its network.  [default: that of the scale]")
]
Width = Annotated[
    int | None,
    typer.Option(
        "--width",
        min=1,
        metavar="NUMBER",
        help="Channels of its first layer.  [default: that of the scale]",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        min=1,
        metavar="NUMBER",
        help="Passes over its training images.  [default: that of the scale]",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="NUMBER", help="Of its weights and of every draw of its training.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        dir_okay=False,
        help="Copy the model here too: a .safetensors file, and its card beside it as .json.",
    ),
]
