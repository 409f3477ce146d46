"""`mea embed`: train a model that carries a key's watermark, or find it in the store."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mea_lib.cli import options
from mea_lib.cli.files import SECRET, check_copy, check_writable, ordinary_file
from mea_lib.cli.models import copy_model, stored, stored_ids
from mea_lib.cli.report import model_rows, model_values, note, result, table, usage


def embed(
    key_file: options.KeyFile = None,
    sources: options.Sources = None,
    target: options.Target = None,
    combine: options.Combine = None,
    key_seed: options.KeySeed = None,
    data_name: options.DataName = "fashion-mnist",
    method: Annotated[
        Literal["runner-up", "mea-defender"],
        typer.Option("--method", help="This book's losses, or the paper's."),
    ] = "runner-up",
    scale_name: options.ScaleName = "laptop",
    network: options.Network = None,
    width: options.Width = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    key_out: Annotated[
        Path | None,
        typer.Option(
            "--key-out",
            metavar="FILE",
            dir_okay=False,
            callback=ordinary_file,
            help="Write the key here, for you alone.",
        ),
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Train a watermarked model, or find it.

    It is kept in the store, and found there when the same is wanted again. Prints where it is, its accuracy
    on the test images and its watermark success rate (WSR) on samples of the key. The key is that of --key,
    or what --sources, --target, --combine and --key-seed say.

    \b
    Examples:
      mea embed --sources T-shirt/top Trouser --target Pullover --key-seed 7 --key-out key.json
      mea embed --key key.json --network resnet18 --width 16 --out model.safetensors
    """
    check_copy(out)
    check_writable(key_out, "--key-out")

    from mea_lib.cli.inputs import autoencoder_for, key_from, load_data, scale_of
    from mea_lib.files import NewFile, write_together
    from mea_lib.proof import accuracy, watermark_success_rate
    from mea_lib.watermarks import MEADefender, RunnerUp

    scale = scale_of(scale_name, network, width)
    scale = scale.owner_but(epochs=epochs) if epochs else scale
    data = load_data(data_name, scale)
    key = key_from(key_file, sources, target, combine, key_seed, data.owner)
    if key_out is not None:
        with usage("--key-out"):
            write_together([NewFile(key_out, key.to_json(), SECRET)])
    there_before = set(stored_ids())
    note(f"{method} at scale {scale.name} on {len(data.owner):,} images of {data_name}")
    watermark = {"runner-up": RunnerUp, "mea-defender": MEADefender}[method]()
    model = watermark.embed(data.owner, key, scale, seed=seed)
    blender = autoencoder_for(key, data, scale, None)
    files = stored(model.card["id"])
    if out is not None:
        copy_model(files, out)
    found = accuracy(model, data.test)
    wsr = watermark_success_rate(model, key, data.test, scale.verification_samples, blender)
    where = (files, out, files.name not in there_before, model.card["seconds"])
    values = model_values(*where) | {
        "key": str(key_file or key_out) if key_file or key_out else None,
        "method": method,
        "data": data_name,
        "scale": scale.name,
        "seed": seed,
        "autoencoder": blender.card["id"] if blender is not None else None,
        "accuracy": found,
        "wsr": wsr.to_dict(),
    }
    rows = [
        *model_rows(*where),
        ("Accuracy", f"{found:.3f} on {len(data.test):,} test images"),
        ("WSR", f"{wsr} on {wsr.trials:,} watermark samples (95 % interval)"),
    ]
    result(values, table(rows), as_json)
