"""The model that a command queries: one on disk, or one behind an HTTP API."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from mea_lib.cli.inputs import check_images, classifier_from, marked
from mea_lib.cli.models import FOREIGN, load_model
from mea_lib.cli.report import usage

if TYPE_CHECKING:
    from mea_lib.blackbox import Suspect
    from mea_lib.cli.watched import Watched
    from mea_lib.data import ImageSet, WatermarkKey

OWN_MACHINE = ("127.0.0.1", "::1", "localhost")
CHUNK = 4_000


def check_which(model: str | None, url: str | None, only_remote: dict[str, Any]) -> None:
    """A usage error unless just one of --model and --url is given, and what belongs to --url only with it."""
    if (model is None) == (url is None):
        raise typer.BadParameter("give either --model or --url")
    if url is None:
        given = [option for option, value in only_remote.items() if value is not None]
        if given:
            raise typer.BadParameter(f"{', '.join(given)} can only be used with --url")
    elif not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"must begin with http:// or https://, not {url!r}", param_hint="--url")


def local(
    reference: str,
    images: "ImageSet",
    mark_answers: Path | None = None,
    how: dict[str, Any] | None = None,
    **oracle: Any,
) -> "Watched":
    """A model on disk behind an `Oracle` with these settings.

    Args:
        reference: what --model says.
        images: such as the model takes; where its answers are marked, those it was trained on.
        mark_answers: the file of the key that they are marked with; None for answers as they are.
        how: what --suspect says.
        oracle: settings of the `Oracle`.
    """
    from mea_lib.blackbox import Oracle
    from mea_lib.blackbox.suspect_module import SuspectModule
    from mea_lib.cli.watched import Watched

    if how or is_foreign(reference):
        if mark_answers is not None:
            raise typer.BadParameter(
                "needs a model of the store, queried as it is", param_hint="--mark-answers"
            )
        adapted = _adapted(reference, how or {})
        in_order = _in_order(adapted, images)
        victim = Oracle(SuspectModule(in_order), **oracle)
        victim.classes = in_order.classes
        return Watched(victim, CHUNK)
    files = classifier_from(reference)
    check_images(files, images)
    model = load_model(files)
    if mark_answers is not None:
        model = marked(model, mark_answers, images, hard=oracle.get("answer") == "hard")
    return Watched(_in_order(Oracle(model, **oracle), images), CHUNK)


def accused(reference: str, images: "ImageSet", how: dict[str, Any]) -> "Watched":
    """A model on disk as a suspect of a verification: an image that it fails on stays without an answer.

    Args:
        reference: what --model says.
        images: the owner's, whose classes the suspect is asked about.
        how: what --suspect says.
    """
    from mea_lib.blackbox import Oracle
    from mea_lib.cli.watched import Watched

    if not how and not is_foreign(reference):
        files = classifier_from(reference)
        own = files.read_card()["spec"]["classes"]
        if own != len(images.classes):
            raise typer.BadParameter(
                f"the model {files.name} tells {own} classes apart, and {images.name} has {len(images.classes)}; "
                "name the data set that the key is for",
                param_hint="--data",
            )
        check_images(files, images)
        return Watched(_in_order(Oracle(load_model(files)), images, are_needed=True), CHUNK)
    adapted = _adapted(reference, {"classes": len(images.classes)} | how)
    return Watched(_in_order(adapted, images, are_needed=True), CHUNK)


def is_foreign(reference: str) -> bool:
    """Whether --model names a file that another program wrote."""
    return Path(reference).suffix.lower() in FOREIGN


def remote(
    url: str,
    images: "ImageSet",
    *,
    are_needed: bool = False,
    needs_probabilities: bool = False,
    **settings: Any,
) -> "Watched":
    """A model behind an HTTP API. Proxies and certificates of the environment are used but for this very machine.

    Args:
        url: of the server.
        images: whose order of classes the answers are brought to, where the server names the same ones.
        are_needed: refuse a server that names other classes, or answers with another number of them.
        needs_probabilities: refuse answers that are something else, such as logits.
        settings: of the `RemoteOracle`.
    """
    from mea_lib.cli.watched import Watched
    from mea_lib.serving import RemoteOracle

    if are_needed:
        settings = {"classes": len(images.classes)} | settings
    settings = {"trust_env": urlsplit(url).hostname not in OWN_MACHINE} | settings
    with usage("--url / --server / --suspect / --query-log"):
        oracle = RemoteOracle(url, **settings)
    return Watched(_in_order(oracle, images, are_needed), oracle.batch_size, needs_probabilities)


def purpose_of(command: str, images: "ImageSet", key: "WatermarkKey | None" = None) -> str:
    """What a query log is kept for: one command, these images, and this key."""
    said = f"{images.digest()}\n{key.to_json() if key else ''}"
    return f"{command} {hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _adapted(reference: str, how: dict[str, Any]) -> "Suspect":
    """The model of --model, queried as --suspect says."""
    from mea_lib.blackbox import as_suspect

    if is_foreign(reference):
        with usage("--model / --suspect"):
            return as_suspect(Path(reference), **how)
    for_weights = [name for name in ("network", "width") if name in how]
    if for_weights:
        raise typer.BadParameter(
            f"{', '.join(for_weights)}: the card of {reference} says that; leave it out",
            param_hint="--suspect",
        )
    model = load_model(classifier_from(reference))
    with usage("--suspect"):
        return as_suspect(model, **how)


def _in_order(suspect: "Suspect", images: "ImageSet", are_needed: bool = False) -> "Suspect":
    """The suspect with its classes in the order of these images', where it names the same ones."""
    from mea_lib.blackbox import in_order

    if not are_needed and sorted(suspect.classes or ()) != sorted(images.classes):
        return suspect
    with usage("--data"):
        return in_order(suspect, images.classes)
