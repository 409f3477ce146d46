"""`mea commit`: key, salt and commitment, before the model is trained and sold."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mea_lib.cli import options
from mea_lib.cli.files import SECRET, check_writable, ordinary_file
from mea_lib.cli.report import note, result, table
from mea_lib.cli.suspect import accused

if TYPE_CHECKING:
    from mea_lib.proof import KeyCheck


def commit(
    key_file: options.KeyFile = None,
    sources: options.Sources = None,
    target: options.Target = None,
    combine: options.Combine = None,
    key_seed: options.KeySeed = None,
    data_name: options.DataName = "fashion-mnist",
    samples: Annotated[
        int, typer.Option("--samples", min=1, metavar="NUMBER", help="Watermark samples a suspect is asked.")
    ] = 1_000,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", metavar="SHARE", help="Watermark success rate (WSR) that must be exceeded."
        ),
    ] = 0.3,
    alpha: options.Alpha = None,
    arrangement: options.Arrangement = False,
    clean: options.Clean = None,
    scale_name: options.ScaleName = "laptop",
    autoencoder: options.AutoencoderName = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="TEXT", help="Written into it.  [default: today, UTC]")
    ] = None,
    key_out: Annotated[
        Path,
        typer.Option(
            "--key-out",
            metavar="FILE",
            dir_okay=False,
            callback=ordinary_file,
            help="The key, for you alone.",
        ),
    ] = Path("key.json"),
    salt_out: Annotated[
        Path,
        typer.Option(
            "--salt-out",
            metavar="FILE",
            dir_okay=False,
            callback=ordinary_file,
            help="The salt, for you alone.",
        ),
    ] = Path("salt.txt"),
    commitment_out: Annotated[
        Path,
        typer.Option(
            "--commitment-out",
            metavar="FILE",
            dir_okay=False,
            callback=ordinary_file,
            help="To be published.",
        ),
    ] = Path("commitment.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there already.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Fix a key before the model is sold.

    And with it how a suspect will be verified. Writes the key and a new salt, which only you may read, and a commitment, which you publish or leave with a
    notary. Without both secret files nothing can be proved later.

    The key is measured on null models first: a forest on the pixels of the test images, and the models of
    --clean. One that they obey would accuse clean models; it is refused, and nothing is written.

    \b
    Examples:
      mea commit --sources T-shirt/top Trouser --target Pullover --key-seed 7
      mea commit --key key.json --clean one.safetensors --clean other.safetensors --alpha 0.001
    """
    written = {"--salt-out": salt_out, "--commitment-out": commitment_out}
    if key_file is None:
        written |= {"--key-out": key_out}
    for option, path in written.items():
        check_writable(path, option)
        if path.exists() and not force:
            raise typer.BadParameter(
                f"{path} is there already; name another file, or replace it with --force", param_hint=option
            )
    if len({path.resolve() for path in written.values()}) < len(written):
        raise typer.BadParameter("must be different files", param_hint=" / ".join(written))
    alpha = options.DEFAULT_ALPHA if alpha is None else alpha
    for option, share in (("--threshold", threshold), ("--alpha", alpha)):
        if not 0 < share < 1:
            raise typer.BadParameter(f"must lie between 0 and 1, not {share:g}", param_hint=option)

    from mea_lib.cli.inputs import autoencoder_for, key_from, load_data
    from mea_lib.data import new_salt
    from mea_lib.files import NewFile, write_together
    from mea_lib.proof import check_key
    from mea_lib.proof import commit as commit_to
    from mea_lib.scale import preset

    scale = preset(scale_name)
    data = load_data(data_name, scale)
    key = key_from(key_file, sources, target, combine, key_seed, data.test)
    blender = autoencoder_for(key, data, scale, autoencoder)
    models = [accused(reference, data.test, {}) for reference in clean or ()]
    checked = check_key(key, data.test, models, samples=samples, autoencoder=blender)
    if checked.keys * alpha <= 1:
        note(
            f"there are {checked.keys} admissible keys, too few for alpha {alpha:g}: a verification will need --clean, "
            "or commit to a larger --alpha"
        )
    salt = new_salt()
    made = commit_to(
        key,
        salt,
        data.test,
        samples,
        threshold,
        alpha=alpha,
        arrangement=arrangement,
        clean=checked,
        autoencoder=blender,
        date=date or datetime.now(UTC).date().isoformat(),
    )
    secrets = [NewFile(key_out, key.to_json(), SECRET)] if key_file is None else []
    secrets.append(NewFile(salt_out, salt, SECRET))
    try:  # another process may have committed since the names were looked at
        write_together([*secrets, NewFile(commitment_out, made.to_json())], replace=force)
    except FileExistsError as error:
        raise typer.BadParameter(
            f"{error}; nothing was written. Name another file, or replace it with --force",
            param_hint=" / ".join(written),
        ) from error
    files = {"key": key_file or key_out, "salt": salt_out, "commitment": commitment_out}
    values = {
        **{name: str(path) for name, path in files.items()},
        "digest": made.digest,
        "samples": samples,
        "threshold": threshold,
        "alpha": alpha,
        "arrangement": arrangement,
        "key_check": checked.to_dict(),
        "date": made.date,
        "autoencoder": blender.card["id"] if blender is not None else None,
    }
    rows = [
        ("Key", f"{files['key']} (keep it secret)"),
        ("Salt", f"{salt_out} (keep it secret)"),
        ("Commitment", f"{commitment_out} (publish it, or leave it with a notary)"),
        ("Digest", made.digest),
        ("Key obeyed", f"by null models at most {_most(checked)}"),
    ]
    result(values, table(rows), as_json)


def _most(checked: "KeyCheck") -> str:
    """The largest rate at which a null model obeys the key, and which were measured."""
    rate = max((checked.forest, *checked.clean), key=lambda one: one.value)
    asked = "a forest on the pixels"
    if checked.clean:
        asked += f" and {len(checked.clean)} clean model{'s' if len(checked.clean) > 1 else ''}"
    return f"{rate.value:.3f} ({asked})"
