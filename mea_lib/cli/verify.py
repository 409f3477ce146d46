"""`mea verify`: ask a suspect about the key's watermark, and weigh the answers."""

from pathlib import Path
from typing import Annotated

import typer

from mea_lib.cli import options
from mea_lib.cli.files import check_writable, ordinary_file, read_key, read_secret
from mea_lib.cli.report import NO_PROOF, NO_VERDICT, result, usage
from mea_lib.cli.server import server_settings, suspect_settings
from mea_lib.cli.suspect import accused, check_which, purpose_of, remote

FEWEST_SAMPLES = 1_000


def verify(
    key_file: options.KeyFile = None,
    model: options.AnyModel = None,
    url: options.Url = None,
    token: options.Token = None,
    query_log: options.QueryLog = None,
    server: options.Server = None,
    suspect_how: options.HowAsked = None,
    commitment_file: Annotated[
        Path | None,
        typer.Option(
            "--commitment",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            callback=ordinary_file,
            help="What was published before the sale; it fixes samples, threshold, alpha and arrangement.",
        ),
    ] = None,
    salt_file: Annotated[
        Path | None,
        typer.Option(
            "--salt-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            callback=ordinary_file,
            help="The commitment's salt.",
        ),
    ] = None,
    data_name: options.DataName = "fashion-mnist",
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=1, metavar="NUMBER", help="Watermark samples asked.  [default: 1000]"),
    ] = None,
    fewest_samples: Annotated[
        int,
        typer.Option(
            "--fewest-samples",
            min=1,
            metavar="NUMBER",
            help="Fewer are refused, and fewer answers give no verdict; say so where you lower it.",
        ),
    ] = FEWEST_SAMPLES,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="SHARE",
            help="Watermark success rate (WSR) that must be exceeded.  [default: 0.3]",
        ),
    ] = None,
    alpha: options.Alpha = None,
    arrangement: options.Arrangement = False,
    clean: options.Clean = None,
    runner_up: Annotated[
        bool,
        typer.Option(
            "--runner-up",
            help="Send no combined image, but see whether the target is the runner-up on clean images of both sources.",
        ),
    ] = False,
    scale_name: options.ScaleName = "laptop",
    autoencoder: options.AutoencoderName = None,
    evidence_file: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="FILE",
            dir_okay=False,
            callback=ordinary_file,
            help="Write the evidence here as JSON.",
        ),
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
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
    check_which(model, url, {"--query-log": query_log, "--server": server or None})
    how = suspect_settings(suspect_how, url)
    served = server_settings(server)
    if (commitment_file is None) != (salt_file is None):
        raise typer.BadParameter("--commitment and --salt-file go together")
    plan = {"--samples": samples, "--threshold": threshold, "--arrangement": arrangement or None}
    fixed = [option for option, value in (plan | {"--alpha": alpha}).items() if value is not None]
    if commitment_file is not None and fixed:
        raise typer.BadParameter(f"{', '.join(fixed)}: the commitment fixes that; leave it out")
    plan["--fewest-samples"] = fewest_samples if fewest_samples != FEWEST_SAMPLES else None
    given = ", ".join(option for option, value in plan.items() if value is not None)
    if runner_up and given:
        raise typer.BadParameter(f"{given} cannot be used with --runner-up, which sends clean images")
    for option, share in (("--threshold", threshold), ("--alpha", alpha)):
        if share is not None and not 0 < share < 1:
            raise typer.BadParameter(f"must lie between 0 and 1, not {share:g}", param_hint=option)
    if samples is not None and samples < fewest_samples:
        raise typer.BadParameter(
            f"{samples} are too few for a verdict; take {fewest_samples:,} or more, or lower --fewest-samples",
            param_hint="--samples",
        )
    check_writable(evidence_file, "--evidence")
    check_writable(query_log, "--query-log")

    from mea_lib.cli.inputs import autoencoder_for, load_data
    from mea_lib.proof import PAPER_THRESHOLD, Commitment, open_commitment, verify_ownership, verify_runner_up
    from mea_lib.scale import preset

    key = read_key(key_file)
    commitment = salt = None
    if commitment_file is not None:
        with usage("--commitment"):
            commitment = Commitment.read(commitment_file)
        with usage("--salt-file"):
            salt = read_secret(salt_file)
    scale = preset(scale_name)
    data = load_data(data_name, scale)
    with usage("--key"):
        key.indices(data.test)
    if model is not None:
        suspect = accused(model, data.test, how)
    else:
        suspect = remote(
            url,
            data.test,
            are_needed=True,
            log=query_log,
            purpose=purpose_of("verify", data.test, key),
            token=token,
            on_failure="skip",
            **served,
            **how,
        )
    models = [accused(reference, data.test, {}) for reference in clean or ()]
    blends = autoencoder_for(key, data, scale, autoencoder)
    if runner_up:
        if commitment is not None:
            open_commitment(commitment, key, salt, data.test, blends)
            alpha = commitment.alpha
        evidence = verify_runner_up(suspect, key, data.test, models, alpha=alpha or options.DEFAULT_ALPHA)
    else:
        evidence = verify_ownership(
            suspect,
            key,
            data.test,
            samples=samples or max(FEWEST_SAMPLES, fewest_samples),
            fewest_samples=fewest_samples,
            threshold=threshold or PAPER_THRESHOLD,
            alpha=alpha or options.DEFAULT_ALPHA,
            arrangement=arrangement,
            clean=models,
            commitment=commitment,
            salt=salt,
            autoencoder=blends,
        )
    if evidence_file is not None:
        evidence.save(evidence_file)
    result(evidence.to_dict(), str(evidence), as_json)
    if not evidence.is_decided:
        raise typer.Exit(NO_VERDICT)
    if not evidence.is_stolen:
        raise typer.Exit(NO_PROOF)
