"""`mea verify`: ask a suspect about the key's watermark, and weigh the answers."""

from pathlib import Path
from typing import Annotated

import typer

from mea_lib.cli import options
from mea_lib.cli.files import SECRET, check_apart, files_of_model, read_key, read_secret
from mea_lib.cli.frame import Result
from mea_lib.cli.report import NO_PROOF, NO_VERDICT, note, usage
from mea_lib.cli.suspect import accused, purpose_of, remote, settings_of


def verify(
    *,
    key_file: options.KeyFile = None,
    suspect_options: options.SuspectOptions,
    commitment_file: Annotated[
        Path | None,
        options.file_to_read(
            "--commitment",
            "What was published before the sale; it fixes samples, threshold, alpha and arrangement.",
        ),
    ] = None,
    salt_file: Annotated[Path | None, options.file_to_read("--salt-file", "The commitment's salt.")] = None,
    data_options: options.DataOptions,
    plan: options.PlanOptions,
    fewest_samples: Annotated[
        int,
        options.number_option(
            "--fewest-samples",
            "Fewer are refused, and fewer answers give no verdict; say so where you lower it.",
            1,
        ),
    ] = options.DEFAULT_SAMPLES,
    runner_up: Annotated[
        bool,
        typer.Option(
            "--runner-up",
            help="Send no combined image, but see whether the target is the runner-up on clean images of both sources.",
        ),
    ] = False,
    evidence_file: Annotated[
        Path | None, options.file_to_write("--evidence", "Write the evidence here as JSON.")
    ] = None,
) -> Result:
    """Ask a suspect for the key's watermark.

    Says whether the answers prove that it is a surrogate of the owner's model. The suspect is a model on disk
    (--model) or one behind an HTTP API (--url), which may leave queries unanswered. --data are the images the
    owner fixed beforehand; their test part gives the samples. The evidence names the key: keep it until you
    open the commitment.

    \b
    Examples:
      mea verify --model surrogate.safetensors --key key.json
      mea verify --url https://example.org --samples 1100 --key key.json --query-log answers.sqlite
      mea verify --url https://example.org --key key.json --commitment commitment.json \\
                 --salt-file salt.txt --evidence evidence.json
      mea verify --model surrogate.safetensors --key key.json --clean one.safetensors --clean two.safetensors
      mea verify --model surrogate.safetensors --key key.json --runner-up --clean clean.safetensors
      mea verify --model found.onnx --key key.json --suspect input_range=0,1 --suspect layout=last

    \b
    Exit codes:
      0  proof found
      3  no proof
      4  no verdict: the suspect does not know the task or answered too few queries, or the key proves nothing
    """
    if key_file is None:
        raise typer.BadParameter("the owner's key is needed: give --key")
    settings = settings_of(suspect_options)
    if (commitment_file is None) != (salt_file is None):
        raise typer.BadParameter("--commitment and --salt-file go together")
    check_apart(
        [("--evidence", evidence_file), ("--query-log", suspect_options.query_log)],
        [
            ("--key", key_file),
            ("--commitment", commitment_file),
            ("--salt-file", salt_file),
            *files_of_model("--model", suspect_options.model),
        ],
    )
    _check_plan(plan, fewest_samples, commitment_file is not None, runner_up)

    from mea_lib.cli.inputs import autoencoder_for, load_data
    from mea_lib.proof import (
        PAPER_THRESHOLD,
        Commitment,
        Plan,
        check_key,
        verify_ownership,
        verify_runner_up,
    )
    from mea_lib.scale import preset

    key = read_key(key_file)
    committed = None
    if commitment_file is not None:
        with usage("--commitment"):
            commitment = Commitment.read(commitment_file)
        with usage("--salt-file"):
            committed = commitment.opened_with(read_secret(salt_file), fewest_samples)
    scale = preset(plan.scale_name)
    data = load_data(data_options, scale)
    with usage("--key"):
        key.indices(data.test)
    if suspect_options.url is None:
        suspect = accused(suspect_options.model, data.test, settings)
    else:
        purpose = purpose_of("verify", data.test, key)
        suspect = remote(suspect_options, data.test, purpose, are_needed=True, on_failure="skip", **settings)
    clean = [accused(reference, data.test) for reference in plan.clean or ()]
    autoencoder = autoencoder_for(key.combine, data, scale, plan.autoencoder)
    alpha = plan.alpha or options.DEFAULT_ALPHA
    if runner_up:
        checked = check_key(key, data.test, clean, autoencoder=autoencoder)
        if not checked.is_admissible:
            return Result(checked.to_dict(), f"No verdict: {checked.reason}", NO_VERDICT)
        if committed is not None:
            # The commitment is to the test by mixes; who may take either of two tests has half the level for each.
            alpha = committed.plan(key, data.test, autoencoder).alpha / 2
            note(
                f"the commitment is to the test by combined images; this second test has half its level, {alpha:g}"
            )
        evidence = verify_runner_up(suspect, key, data.test, clean, admissible=checked.keys, alpha=alpha)
    else:
        agreed = committed or Plan(
            samples=plan.samples or max(options.DEFAULT_SAMPLES, fewest_samples),
            fewest_samples=fewest_samples,
            threshold=plan.threshold or PAPER_THRESHOLD,
            alpha=alpha,
            arrangement=plan.arrangement,
        )
        evidence = verify_ownership(
            suspect, key, data.test, plan=agreed, clean=clean, autoencoder=autoencoder
        )
    if evidence_file is not None:
        evidence.save(evidence_file, SECRET)
    code = NO_VERDICT if not evidence.is_decided else 0 if evidence.is_stolen else NO_PROOF
    return Result(evidence.to_dict(), str(evidence), code)


def _check_plan(plan: options.PlanOptions, fewest_samples: int, is_committed: bool, runner_up: bool) -> None:
    """A usage error for what a commitment fixes, what runner-up evidence does not take, and too few samples."""
    chosen = {"--samples": plan.samples, "--threshold": plan.threshold}
    chosen |= {"--arrangement": plan.arrangement or None, "--alpha": plan.alpha}
    given = [option for option, value in chosen.items() if value is not None]
    if is_committed and given:
        raise typer.BadParameter(f"{', '.join(given)}: the commitment fixes that; leave it out")
    if fewest_samples != options.DEFAULT_SAMPLES:
        given.append("--fewest-samples")
    for_mixes = [option for option in given if option != "--alpha"]
    if runner_up and for_mixes:
        raise typer.BadParameter(
            f"{', '.join(for_mixes)} cannot be used with --runner-up, which sends clean images"
        )
    if plan.samples is not None and plan.samples < fewest_samples:
        raise typer.BadParameter(
            f"{plan.samples} are too few for a verdict; take {fewest_samples:,} or more, or lower --fewest-samples",
            param_hint="--samples",
        )
