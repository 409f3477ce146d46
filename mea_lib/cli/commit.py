"""`mea commit`: key, salt and commitment, before the model is trained and sold."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mea_lib.cli import options
from mea_lib.cli.files import SECRET, check_apart, check_writable, ordinary_file
from mea_lib.cli.frame import Result
from mea_lib.cli.report import columns, note, usage
from mea_lib.cli.suspect import accused

if TYPE_CHECKING:
    from mea_lib.proof import KeyCheck


def commit(
    *,
    key_options: options.KeyOptions,
    draw: Annotated[
        bool,
        typer.Option(
            "--draw", help="Draw the key's classes and its seed among the keys that null models leave."
        ),
    ] = False,
    data_options: options.DataOptions,
    plan: options.PlanOptions,
    date: Annotated[
        str | None, typer.Option("--date", metavar="TEXT", help="Written into it.  [default: today, UTC]")
    ] = None,
    key_out: Annotated[
        Path, options.file_to_write("--key-out", "The key, for you alone.", ordinary_file)
    ] = Path("key.json"),
    salt_out: Annotated[
        Path, options.file_to_write("--salt-out", "The salt, for you alone.", ordinary_file)
    ] = Path("salt.txt"),
    commitment_out: Annotated[
        Path, options.file_to_write("--commitment-out", "To be published.", ordinary_file)
    ] = Path("commitment.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there already.")] = False,
) -> Result:
    """Fix a key before the model is sold.

    And with it how a suspect will be verified. Writes the key and a new salt, which only you may read, and a commitment, which you publish or leave with a
    notary. Without both secret files nothing can be proved later.

    The key is measured on null models first: a forest on the pixels of the test images, and the models of
    --clean. One that they obey would accuse clean models; it is refused, and nothing is written. With --draw
    another is drawn in its place; the p-value of a verification is that of a key that was drawn.

    \b
    Examples:
      mea commit --draw
      mea commit --sources T-shirt/top Trouser --target Pullover --key-seed 7
      mea commit --key key.json --clean one.safetensors --clean other.safetensors --alpha 0.001
    """
    key_file = key_options.key_file
    if draw:
        _check_nothing_spelt_out(key_options)
    written = {"--salt-out": salt_out, "--commitment-out": commitment_out}
    if key_file is None:
        written |= {"--key-out": key_out}
    for option, path in written.items():
        with usage(option):
            check_writable(path)
            if path.exists() and not force:
                raise ValueError(f"{path} is there already; name another file, or replace it with --force")
    if len({path.resolve() for path in written.values()}) < len(written):
        raise typer.BadParameter("must be different files", param_hint=" / ".join(written))
    # --force replaces older files, and no key that is read.
    check_apart(written.items(), [("--key", key_file)])

    from mea_lib.cli.inputs import autoencoder_for, key_of, load_data
    from mea_lib.data import new_salt
    from mea_lib.files import NewFile, write_together
    from mea_lib.proof import PAPER_THRESHOLD, Plan, check_key, draw_key
    from mea_lib.proof import commit as commit_to
    from mea_lib.scale import preset

    scale = preset(plan.scale_name)
    data = load_data(data_options, scale)
    samples = plan.samples or options.DEFAULT_SAMPLES
    alpha = plan.alpha or options.DEFAULT_ALPHA
    models = [accused(reference, data.test) for reference in plan.clean or ()]
    if draw:
        scheme = key_options.combine or "crop-paste"
        autoencoder = autoencoder_for(scheme, data, scale, plan.autoencoder)
        checked = draw_key(data.test, models, combine=scheme, samples=samples, autoencoder=autoencoder)
        key = checked.key
    else:
        key = key_of(key_options, data.test)
        autoencoder = autoencoder_for(key.combine, data, scale, plan.autoencoder)
        checked = check_key(key, data.test, models, samples=samples, autoencoder=autoencoder)
    if checked.keys * alpha <= 1:
        note(
            f"there are {checked.keys} admissible keys, too few for alpha {alpha:g}: a verification will need --clean, "
            "or commit to a larger --alpha"
        )
    salt = new_salt()
    commitment = commit_to(
        key,
        salt,
        data.test,
        Plan(
            samples=samples,
            fewest_samples=min(samples, options.DEFAULT_SAMPLES),
            threshold=plan.threshold or PAPER_THRESHOLD,
            alpha=alpha,
            arrangement=plan.arrangement,
        ),
        clean=checked,
        autoencoder=autoencoder,
        date=date or datetime.now(UTC).date().isoformat(),
    )
    secrets = [NewFile(key_out, key.to_json(), SECRET)] if key_file is None else []
    secrets.append(NewFile(salt_out, salt, SECRET))
    try:  # another process may have committed since the names were looked at
        write_together([*secrets, NewFile(commitment_out, commitment.to_json())], replace=force)
    except FileExistsError as error:
        raise typer.BadParameter(
            f"{error}; nothing was written. Name another file, or replace it with --force",
            param_hint=" / ".join(written),
        ) from error
    values = {
        "key": str(key_file or key_out),
        "salt": str(salt_out),
        "commitment": str(commitment_out),
        "digest": commitment.digest,
        "samples": samples,
        "threshold": commitment.threshold,
        "alpha": alpha,
        "arrangement": plan.arrangement,
        "key_check": checked.to_dict(),
        "date": commitment.date,
        "autoencoder": autoencoder.card["id"] if autoencoder is not None else None,
    }
    rows = [
        ("Key", f"{key_file or key_out} (keep it secret)"),
        ("Salt", f"{salt_out} (keep it secret)"),
        ("Commitment", f"{commitment_out} (publish it, or leave it with a notary)"),
        ("Digest", commitment.digest),
        ("Key obeyed", f"by null models at most {_most(checked)}"),
    ]
    return Result(values, columns(rows))


def _check_nothing_spelt_out(key: options.KeyOptions) -> None:
    """A usage error for a key that is given and is to be drawn."""
    given = {
        "--key": key.key_file,
        "--sources": key.sources,
        "--target": key.target,
        "--key-seed": key.key_seed,
    }
    names = [option for option, value in given.items() if value is not None]
    if names:
        raise typer.BadParameter(f"draws the whole key; leave out {', '.join(names)}", param_hint="--draw")


def _most(checked: "KeyCheck") -> str:
    """The largest rate at which a null model obeys the key, and which were measured."""
    rate = max((checked.forest, *checked.clean), key=lambda one: one.value)
    measured = "a forest on the pixels"
    if checked.clean:
        measured += f" and {len(checked.clean)} clean model{'s' if len(checked.clean) > 1 else ''}"
    return f"{rate.value:.3f} ({measured})"
