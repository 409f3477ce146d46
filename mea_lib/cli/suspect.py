"""The model that a command queries: one on disk, or one behind an HTTP API."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from mea_lib.cli.inputs import check_images, classifier_files, with_marked_answers
from mea_lib.cli.models import load_model
from mea_lib.cli.options import SuspectOptions
from mea_lib.cli.report import usage
from mea_lib.cli.settings import ANSWER_SETTINGS, PIXEL_SETTINGS, server_settings, suspect_settings
from mea_lib.names import FOREIGN_FILES

if TYPE_CHECKING:
    from mea_lib.blackbox import Suspect
    from mea_lib.cli.watched import Watched
    from mea_lib.data import ImageSet, WatermarkKey

OWN_MACHINE = ("127.0.0.1", "::1", "localhost")
CHUNK = 4_000


def settings_of(options: SuspectOptions) -> dict[str, Any]:
    """What --suspect says of the model and --server of its server, by the names that the library has for it.

    A usage error unless just one of --model and --url is given, and what belongs to --url only with it.
    """
    if (options.model is None) == (options.url is None):
        raise typer.BadParameter("give either --model or --url")
    if options.url is None:
        given = {"--query-log": options.query_log, "--server": options.server}
        if names := ", ".join(name for name, value in given.items() if value):
            raise typer.BadParameter(f"{names} can only be used with --url")
    elif not options.url.startswith(("http://", "https://")):
        raise typer.BadParameter(
            f"must begin with http:// or https://, not {options.url!r}", param_hint="--url"
        )
    return suspect_settings(options.suspect, options.url) | server_settings(options.server)


def local(
    reference: str,
    images: "ImageSet",
    settings: dict[str, Any],
    mark_answers: Path | None = None,
    **oracle: Any,
) -> "Watched":
    """A model on disk behind an `Oracle` with these settings.

    Args:
        reference: what --model says.
        images: such as the model takes; where its answers are marked, those it was trained on.
        settings: what --suspect says.
        mark_answers: the file of the key that they are marked with; None for answers as they are.
        oracle: settings of the `Oracle`.
    """
    from mea_lib.blackbox import Oracle
    from mea_lib.cli.watched import Watched

    if settings or is_foreign(reference):
        if mark_answers is not None:
            raise typer.BadParameter(
                "needs a model of the store, queried as it is", param_hint="--mark-answers"
            )
        adapted = _in_order(_adapted(reference, settings), images)
        victim = Oracle(adapted, **oracle)
        victim.classes = adapted.classes
        return Watched(victim, CHUNK)
    files, spec = classifier_files(reference)
    check_images(files.name, spec, images)
    model = load_model(files)
    if mark_answers is not None:
        model = with_marked_answers(model, mark_answers, images, hard=oracle.get("answer") == "hard")
    return Watched(_in_order(Oracle(model, **oracle), images), CHUNK)


def accused(reference: str, images: "ImageSet", settings: dict[str, Any] | None = None) -> "Watched":
    """A model on disk as a suspect of a verification: an image that it fails on stays without an answer.

    Args:
        reference: what --model says.
        images: the owner's, whose classes the suspect is asked about.
        settings: what --suspect says.
    """
    from mea_lib.blackbox import Oracle
    from mea_lib.cli.watched import Watched

    if settings or is_foreign(reference):
        suspect = _adapted(reference, {"classes": len(images.classes)} | (settings or {}))
    else:
        files, spec = classifier_files(reference)
        if spec["classes"] != len(images.classes):
            raise typer.BadParameter(
                f"the model {files.name} tells {spec['classes']} classes apart, and {images.name} has "
                f"{len(images.classes)}; name the data set that the key is for",
                param_hint="--data",
            )
        check_images(files.name, spec, images)
        suspect = Oracle(load_model(files))
    return Watched(_in_order(suspect, images, are_needed=True), CHUNK)


def is_foreign(reference: str) -> bool:
    """Whether --model names a file that another program wrote."""
    return Path(reference).suffix.lower() in FOREIGN_FILES


def remote(
    options: SuspectOptions,
    images: "ImageSet",
    purpose: str,
    *,
    are_needed: bool = False,
    needs_probabilities: bool = False,
    **settings: Any,
) -> "Watched":
    """A model behind an HTTP API. Proxies and certificates of the environment are used but for this very machine.

    Args:
        options: address, token and query log.
        images: whose order of classes the answers are brought to, where the server names the same ones.
        purpose: that a query log is kept for.
        are_needed: refuse a server that names other classes, or answers with another number of them.
        needs_probabilities: refuse answers that are something else, such as logits.
        settings: of the `RemoteOracle`.
    """
    from mea_lib.cli.watched import Watched
    from mea_lib.serving import RemoteOracle

    if are_needed:
        settings = {"classes": len(images.classes)} | settings
    settings = {"trust_env": urlsplit(options.url).hostname not in OWN_MACHINE} | settings
    settings |= {"token": options.token, "log": options.query_log, "purpose": purpose}
    with usage("--url / --server / --suspect / --query-log"):
        oracle = RemoteOracle(options.url, **settings)
    return Watched(_in_order(oracle, images, are_needed), oracle.batch_size, needs_probabilities)


def purpose_of(command: str, images: "ImageSet", key: "WatermarkKey | None" = None) -> str:
    """What a query log is kept for: one command, these images, and this key."""
    content = f"{images.digest()}\n{key.to_json() if key else ''}"
    return f"{command} {hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _adapted(reference: str, settings: dict[str, Any]) -> "Suspect":
    """The model of --model, queried as --suspect says."""
    from mea_lib.blackbox import as_suspect

    if is_foreign(reference):
        with usage("--model / --suspect"):
            return as_suspect(Path(reference), **_bundled(settings))
    for_weights = [name for name in ("network", "width") if name in settings]
    if for_weights:
        raise typer.BadParameter(
            f"{', '.join(for_weights)}: the card of {reference} says that; leave it out",
            param_hint="--suspect",
        )
    model = load_model(classifier_files(reference)[0])
    with usage("--suspect"):
        return as_suspect(model, **_bundled(settings))


def _bundled(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by their names on the command line, as `as_suspect` takes them: pixels in one, answers in one."""
    from mea_lib.blackbox import AnswerFormat, Pixels

    others = {name: value for name, value in settings.items() if name not in PIXEL_SETTINGS | ANSWER_SETTINGS}
    pixels = Pixels(**{name: settings[name] for name in PIXEL_SETTINGS if name in settings})
    answers = {name: settings[name] for name in ANSWER_SETTINGS if name in settings}
    return others | {"pixels": pixels, "answers": AnswerFormat(answers.pop("answers", "auto"), **answers)}


def _in_order(suspect: "Suspect", images: "ImageSet", are_needed: bool = False) -> "Suspect":
    """The suspect with its classes in the order of these images', where it names the same ones."""
    from mea_lib.blackbox import in_order

    if not are_needed and sorted(suspect.classes or ()) != sorted(images.classes):
        return suspect
    with usage("--data"):
        return in_order(suspect, images.classes)
