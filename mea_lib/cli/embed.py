"""`mea embed`: train a model that carries a key's watermark, or find it in the store."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mea_lib.cli import options
from mea_lib.cli.files import SECRET, check_apart, files_of_model
from mea_lib.cli.frame import Result
from mea_lib.cli.models import KeptModel, stored_ids
from mea_lib.cli.report import columns, note, usage


def embed(
    *,
    key_options: options.KeyOptions,
    data_options: options.DataOptions,
    method: Annotated[
        Literal["runner-up", "mea-defender"],
        typer.Option("--method", help="This book's losses, or the paper's."),
    ] = "runner-up",
    training: options.TrainingOptions,
    key_out: Annotated[
        Path | None, options.file_to_write("--key-out", "Write the key here, for you alone.")
    ] = None,
) -> Result:
    """Train a watermarked model, or find it.

    It is kept in the store, and found there when the same is wanted again. Prints where it is, its accuracy
    on the test images and its watermark success rate (WSR) on samples of the key. The key is that of --key,
    or what --sources, --target, --combine and --key-seed say.

    \b
    Examples:
      mea embed --sources T-shirt/top Trouser --target Pullover --key-seed 7 --key-out key.json
      mea embed --key key.json --network resnet18 --width 16 --out model.safetensors
    """
    keys = [("--key", key_options.key_file), ("--key-out", key_out)]
    check_apart(files_of_model("--out", training.out), keys)

    from mea_lib.blackbox import Oracle
    from mea_lib.cli.inputs import autoencoder_for, key_of, load_data, scale_of
    from mea_lib.files import NewFile, write_together
    from mea_lib.proof import accuracy, watermark_success_rate
    from mea_lib.proof.task import check_task
    from mea_lib.watermarks import MEADefender, RunnerUp

    scale = scale_of(training)
    scale = scale.owner_but(epochs=training.epochs) if training.epochs else scale
    data = load_data(data_options, scale)
    key = key_of(key_options, data.owner)
    if key_out is not None:
        with usage("--key-out"):
            write_together([NewFile(key_out, key.to_json(), SECRET)])
    ids_before = stored_ids()
    note(f"{method} at scale {scale.name} on {len(data.owner):,} images of {data_options.data_name}")
    watermark = {"runner-up": RunnerUp, "mea-defender": MEADefender}[method]()
    model = watermark.embed(data.owner, key, scale, seed=training.seed)
    autoencoder = autoencoder_for(key.combine, data, scale)
    kept = KeptModel.of(model, ids_before, training.out)
    correct = accuracy(model, data.test)
    wsr = watermark_success_rate(model, key, data.test, scale.verification_samples, autoencoder)
    task = check_task(Oracle(model), key, data.test)
    if task.reason is not None:
        note(
            f"Asked about this model itself, `mea verify` would give no verdict: {task.reason}. Train it for longer, "
            "or choose another key"
        )
    key_file = key_options.key_file or key_out
    values = kept.values() | {
        "key": str(key_file) if key_file else None,
        "method": method,
        "data": data_options.data_name,
        "scale": scale.name,
        "seed": training.seed,
        "autoencoder": autoencoder.card["id"] if autoencoder is not None else None,
        "accuracy": correct,
        "wsr": wsr.to_dict(),
        "task": task.to_dict(),
    }
    rows = [
        *kept.rows(),
        ("Accuracy", f"{correct:.3f} on {len(data.test):,} test images"),
        ("WSR", f"{wsr} on {wsr.trials:,} watermark samples (95 % interval)"),
    ]
    return Result(values, columns(rows))
