"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mea_lib.cli.completion import (
    DATA_SETS,
    NETWORKS,
    SCHEMES,
    complete_class,
    complete_data,
    complete_model,
    complete_server,
    complete_suspect,
)
from mea_lib.cli.files import ordinary_file
from mea_lib.cli.report import keep_debug
from mea_lib.scale import SCALES

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
        callback=ordinary_file,
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
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k", min=1, metavar="NUMBER", help="--model answers with its largest probabilities only."
    ),
]
Decimals = Annotated[
    int | None,
    typer.Option(
        "--decimals", min=0, metavar="NUMBER", help="--model rounds its probabilities to so many places."
    ),
]
Noise = Annotated[
    float | None,
    typer.Option(
        "--noise",
        min=0,
        metavar="NUMBER",
        help="Standard deviation of noise on every probability of --model.  [default: 0]",
    ),
]
MarkAnswers = Annotated[
    Path | None,
    typer.Option(
        "--mark-answers",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        callback=ordinary_file,
        help="The owner's key: the answers of --model are marked with it, soft labels at no accuracy, hard "
        "labels at a little.",
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
Server = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        metavar="NAME=VALUE",
        autocompletion=complete_server,
        help="How the server of --url is queried, where it does not say, such as model=digits or timeout=60; "
        "may be given several times.",
    ),
]
AnyModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID|FILE",
        autocompletion=complete_model,
        help="A model of the store by its id or the id's unique beginning, the path of its .safetensors or .json file, "
        "or a file of another program: .onnx, TorchScript, or weights in .pth or .pt.",
    ),
]
HowAsked = Annotated[
    list[str] | None,
    typer.Option(
        "--suspect",
        metavar="NAME=VALUE",
        autocompletion=complete_suspect,
        help="What the model takes and answers, where it does not say, such as input_range=0,1, mean=0.5,0.5,0.5, "
        "layout=last, answers=logits, label_names=FILE or network=resnet18; may be given several times.",
    ),
]
DEFAULT_ALPHA = 0.01
Alpha = Annotated[
    float | None,
    typer.Option(
        "--alpha",
        metavar="SHARE",
        help="Level of the test: a p-value must be below it.  [default: 0.01]",
    ),
]
Arrangement = Annotated[
    bool,
    typer.Option(
        "--arrangement",
        help="Claim the key's own arrangement: every other one of the same classes must do less.",
    ),
]
Clean = Annotated[
    list[str] | None,
    typer.Option(
        "--clean",
        metavar="ID|FILE",
        autocompletion=complete_model,
        help="A model of the same task, trained without the owner's: a key that it obeys proves nothing; may be given "
        "several times.",
    ),
]
QueryLog = Annotated[
    Path | None,
    typer.Option(
        "--query-log",
        metavar="FILE",
        dir_okay=False,
        callback=ordinary_file,
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
        help="Epochs of its training.  [default: that of the scale]",
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
        callback=ordinary_file,
        help="Copy the model here too: a .safetensors file, and its card beside it as .json.",
    ),
]
