"""A suspect that is only a web address: a model behind any server of the Open Inference Protocol."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from torch import Tensor

from mea_lib.blackbox.adapted import PROBE_IMAGES
from mea_lib.blackbox.answers import ONE_ANSWER
from mea_lib.blackbox.preprocess import Pixels
from mea_lib.blackbox.query_api import BudgetSpent, Query
from mea_lib.blackbox.suspect import AnotherLog, Suspect, SuspectError, check_images
from mea_lib.data.parties import image_digests
from mea_lib.serving.oip import HEADER_LENGTH
from mea_lib.serving.query_log import QueryLog
from mea_lib.serving.remote_model import RemoteModel, read_metadata
from mea_lib.serving.transport import LARGEST_BODY_BYTES, Fleeting, TooLarge, Transport

ON_FAILURE = ("raise", "skip")
# After so many batches in a row that no attempt could save, each further one is tried once.
PATIENT_BATCHES = 3
PROBABILITY_TOLERANCE = 1e-2
LARGEST_METADATA_BYTES = 8 << 20


class _Smaller(Exception):
    """A batch is to be sent again in smaller ones."""


class RemoteOracle(Suspect):
    """Queries a model over HTTP, as an `Oracle` does in memory: (N, C, H, W) uint8 images → (N, K) answers.

    Works with every server that speaks version 2 of the protocol with JSON tensors (KServe, Triton, MLServer,
    `mea serve`). No image is paid for twice: its answer is kept, and the same image is answered from there.
    With `log` that holds beyond this process, so an interrupted verification goes on where it was; batches
    are sent one after the other, also by several processes that share a log. An answer that was on its way
    when the process was killed, or that was cut off and requested again, has been paid for all the same;
    nobody but the server can know.

    Before it has answered at all it is queried with a few images alone; where it does not answer these so
    that it can be understood, no more are sent. A log belongs to one suspect and one purpose: before an
    answer of an earlier session is used, a few of those asked for, the least decided ones, are sent again,
    and must be answered alike.

    An answer is K finite numbers. They need not be probabilities: a verification looks at the largest alone,
    and `are_probabilities` says what they were, for an adversary whose method needs it.

    Args:
        url: http or https, of the server; what comes before `/v2`.
        model: its name; None takes the only one the server has.
        version: of the model; None where it has only one.
        token: sent as `Authorization: Bearer …` to this origin and no other. Use https when you pass one.
        budget: how many images may be sent in all by this object; None for no limit.
        log: the file of the query log, made if need be; None keeps answers as long as this object.
        batch_size: images in a request; halved when the server says that is too many.
        timeout: seconds that one attempt may take in all.
        attempts: how often a batch is sent that meets a broken connection, a timeout, a 429 with a time to
            try again (waited for, up to 60 seconds), or a 500, 502, 503 or 504. Waits between grow and are
            partly random.
        on_failure: "raise", or "skip" to answer NaN for images the suspect gave no answer to, and count the
            reason in `failures`.
        input_name, output_name, datatype: of the model's tensors, for servers whose metadata do not name them or
            name several. `datatype` is the protocol's word, such as "UINT8".
        input_range: what the pixels 0 and 255 become, for models that take floats, such as (0, 1).
        mean, std, channel_order, layout, size: as `as_suspect` takes them; the layout is otherwise found by the shape
            that the metadata state.
        classes: names of its classes in order, or K alone, where the metadata do not say so; for models that answer
            with a label, whose answers become one-hot rows.
        answers, first_label, label_names: as `as_suspect` takes them.
        purpose: what the log is kept for, such as a digest of key and data; a log is of one purpose.
        log_tolerance: by which an answer may differ from the one in the log, as a share of the distance between its
            largest and smallest number; more for a suspect that adds noise.
        trust_env: let proxies and certificates be named by the environment: HTTPS_PROXY, SSL_CERT_FILE and their like.

    Attributes:
        queries: images that this object sent and that the server may charge for: it answered, or the connection
            broke afterwards. Refusals and answers found in the log do not count.
        budget: the limit on these.
        log: one `Query` for each request that was answered; numbers count the images sent.
        model: the `RemoteModel`, as the metadata describe it.
        classes: names of the classes, as passed or as the metadata state them under `parameters.classes`; or None.
        failures: images without an answer, by reason.
        log_check: what came of sending images in the log again; None where none was needed.
        query_log: the `QueryLog`.
        are_probabilities: whether all rows so far were, to a hundredth; None before the first one.

    Raises:
        ValueError: for arguments that mean nothing, a server with several models where none is named, a model
            that cannot be queried with images, a file that is no log or another suspect's.
        SuspectError: when the server cannot be reached or refuses to describe itself.
        ImportError: without the extra `mea-lib[service]`.

    Source: KServe, Open Inference Protocol, version 2 (REST).
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        version: str | None = None,
        token: str | None = None,
        budget: int | None = None,
        log: str | Path | None = None,
        batch_size: int = 64,
        timeout: float = 30.0,
        attempts: int = 6,
        on_failure: str = "raise",
        input_name: str | None = None,
        output_name: str | None = None,
        datatype: str | None = None,
        input_range: tuple[float, float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: str = "rgb",
        layout: str = "first",
        size: int | tuple[int, int] | None = None,
        classes: int | Sequence[str] | None = None,
        answers: str = "auto",
        first_label: int = 0,
        label_names: Sequence[str] | None = None,
        purpose: str | None = None,
        log_tolerance: float = 0.01,
        trust_env: bool = False,
    ) -> None:
        if budget is not None and budget < 0:
            raise ValueError(f"a budget is a number of images, at least 0, not {budget}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if on_failure not in ON_FAILURE:
            raise ValueError(f"unknown way to fail {on_failure!r}; choose one of: {', '.join(ON_FAILURE)}")
        if not log_tolerance >= 0:
            raise ValueError(f"log_tolerance must be at least 0, not {log_tolerance}")
        pixels = Pixels(input_range, mean, std, channel_order, layout, size)
        self._transport = Transport(url, token, timeout, attempts, trust_env)
        with self._transport as transport:
            name = model or _only_model(transport)
            self.model: RemoteModel = read_metadata(
                _metadata(transport, _path(name, version), is_needed=input_name is None or datatype is None),
                name,
                version=version,
                input_name=input_name,
                output_name=output_name,
                datatype=datatype,
                classes=classes,
                pixels=pixels,
                answers=answers,
                first_label=first_label,
                label_names=label_names,
            )
        self.classes = self.model.classes
        self._version = version
        self._purpose = purpose
        self._log_tolerance = log_tolerance
        self.query_log = QueryLog(log, self._identity())
        self.budget = budget
        self.on_failure = on_failure
        self.batch_size = batch_size
        self.queries = 0
        self.log: list[Query] = []
        self.failures: Counter[str] = Counter()
        self.are_probabilities: bool | None = None
        self.log_check: str | None = None
        self._last_failure: SuspectError | None = None
        self._lost_batches = 0
        self._answered_now: set[bytes] = set()
        self._from_log: set[bytes] = set()
        self._log_is_checked = False
        self._turn = threading.Lock()

    @property
    def remaining(self) -> int | None:
        """Images that may still be sent; None where there is no limit."""
        return None if self.budget is None else self.budget - self.queries

    def cost(self, *images: Tensor) -> int:
        """How many images would be sent for these, (N, C, H, W) each: those without an answer, each once.

        Where the log of an earlier session answers some, those sent again are counted at their most: fewer are where
        the first call has fewer of them.
        """
        keys = list({key for part in images for key in image_digests(part)})
        again = 0 if self._log_is_checked else min(PROBE_IMAGES, len(self.query_log.older(keys)))
        return len(keys) - len(self.query_log.find(keys)) + again

    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query, from the log what is there.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            (N, K) float32, on the images' device; (N, 2) while nothing says how large K is. With
            `on_failure="skip"` a row of NaN is no answer.

        Raises:
            BudgetSpent: when more images must be sent than remain, and then nothing is; when attempts that failed
                have used up the rest; or when the server says the budget it grants is spent.
            SuspectError: for a suspect that gives no answer, unless they are skipped. Batches before it are in
                the log.
            TypeError, ValueError: for images of another type or shape, or a log that is not this suspect's any more.
        """
        check_images(images)
        keys = image_digests(images)
        place: dict[bytes, int] = {}  # of the first such image
        for number, key in enumerate(keys):
            place.setdefault(key, number)

        def images_of(chosen: list[bytes]) -> Tensor:
            return images[torch.tensor([place[key] for key in chosen], device=images.device)]

        answers = self.query_log.find(list(place))
        missing = [key for key in place if key not in answers]
        again = [] if self._log_is_checked else _least_decided(answers, self.query_log.older(list(place)))
        self._check_budget(len(missing) + len(again))
        if missing or again:
            largest = self.model.largest_batch(images)
            self.batch_size = min(self.batch_size, largest or self.batch_size)
            with self._turn, self._transport:
                if again:
                    self._confirm_log(images_of(again), torch.stack([answers[key] for key in again]))
                while missing:
                    is_probe = self.query_log.width() is None
                    batch = missing[: min(self.batch_size, PROBE_IMAGES) if is_probe else self.batch_size]
                    try:
                        answers |= self._answer(batch, images_of(batch))
                    except _Smaller:
                        continue
                    missing = missing[len(batch) :]
                    if is_probe and self._is_hopeless():
                        self.failures[self._last_failure.reason] += len(missing)
                        break
        self._from_log |= answers.keys() - self._answered_now
        width = self.query_log.width() or self.model.answer_format.number or 2
        silence = torch.full((width,), torch.nan)
        rows = [answers.get(key, silence) for key in keys]
        return (torch.stack(rows) if rows else torch.empty(0, width)).to(images.device)

    def describe(self) -> dict[str, Any]:
        """What a report says of this suspect: who it is, when it was asked, and the digest of the query log.

        `queries_now` counts the queries that this object sent and that were answered, `from_log` those whose
        answers were there before.
        """
        span = self.query_log.span()
        return self._identity() | {
            "first_asked": span[0] if span else None,
            "last_asked": span[1] if span else None,
            "sent": self.queries,
            "queries_now": len(self._answered_now),
            "from_log": len(self._from_log),
            "log_check": self.log_check,
            "answers_in_log": len(self.query_log),
            "log": None if self.query_log.path is None else str(self.query_log.path),
            "log_digest": self.query_log.digest(),
        }

    def _answer(self, keys: list[bytes], images: Tensor) -> dict[bytes, Tensor]:
        """Query one batch, or find that another process has; the answers by key, where there are any."""
        with self.query_log.alone():
            answers = self.query_log.find(keys)
            unknown = [number for number, key in enumerate(keys) if key not in answers]
            if not unknown:
                return answers
            keys = [keys[number] for number in unknown]
            width = self.query_log.width()
            try:
                rows, faults = self._send(images[torch.tensor(unknown, device=images.device)])
                if width not in (None, rows.shape[1]):
                    raise SuspectError(
                        f"the suspect has answered with {width} numbers an image so far, and now with "
                        f"{rows.shape[1]}; it is not one model",
                        "another width",
                    )
                self._lost_batches = 0
            except SuspectError as error:
                self._lost_batches += 1
                rows, faults = torch.full((len(keys), width or 1), torch.nan), [error] * len(keys)
            self.query_log.record(keys, rows, [fault and fault.reason for fault in faults])
        new = {key: row for key, row, fault in zip(keys, rows, faults, strict=True) if fault is None}
        self._answered_now |= new.keys()
        if new:
            good = torch.stack(list(new.values()))
            sums_to_one = (good.sum(1) - 1).abs() < PROBABILITY_TOLERANCE
            are = bool((sums_to_one & (good >= 0).all(1)).all())
            self.are_probabilities = are and self.are_probabilities is not False
        bad = [fault for fault in faults if fault is not None]
        self.failures.update(fault.reason for fault in bad)
        if bad:
            self._last_failure = bad[0]
            if self.on_failure == "raise":
                raise bad[0]
        return answers | new

    def _confirm_log(self, images: Tensor, known: Tensor) -> None:
        """Send some images again that the log has answers (N, K) to, and see that the suspect still answers alike.

        Raises:
            SuspectError: for one that does not answer, unless failures are skipped: then the log is used, and
                `log_check` says so.
            AnotherLog: for one that answers otherwise.
        """
        rows: list[Tensor] = []
        while len(rows) < len(images):
            try:
                rows += self._send(images[len(rows) : len(rows) + self.batch_size])[0]
            except _Smaller:
                continue
            except SuspectError as error:
                self.log_check = f"not done: {error.reason}"
                if self.on_failure == "raise":
                    raise
                self._log_is_checked = True
                return
        differ = sum(
            row.shape != before.shape or not _agree(row, before, self._log_tolerance)
            for row, before in zip(rows, known, strict=True)
        )
        if differ:
            raise AnotherLog(
                f"{self.query_log.path or 'the query log'} is not this suspect's any more: of {len(known)} images that "
                f"were asked again {differ} got another answer; it is another model, or changes its answers; "
                "name another file, or pass a larger log_tolerance=… where it is known to add noise"
            )
        self._log_is_checked = True
        self.log_check = f"{len(known)} images asked again, answered alike"

    def _is_hopeless(self) -> bool:
        """Whether nothing was answered, for a reason that the next images would meet too."""
        return (
            self.query_log.width() is None
            and self._last_failure is not None
            and not isinstance(self._last_failure, Fleeting)
        )

    def _send(self, images: Tensor) -> tuple[Tensor, list[SuspectError | None]]:
        """What the suspect answers to one request, (N, K), and why a row of it is no answer.

        Raises:
            _Smaller: after the batch size was made smaller, since the suspect cannot answer so many at once.
            SuspectError: for one that does not answer.
        """

        def count() -> None:
            self.queries += len(images)

        width = self.query_log.width()
        try:
            body, headers = self._transport.ask(
                "POST",
                f"{_path(self.model.name, self._version)}/infer",
                *self.model.request(images),
                most_bytes=min(LARGEST_BODY_BYTES, self.model.largest_answer(len(images), width)),
                attempts=1 if self._lost_batches >= PATIENT_BATCHES else None,
                before=lambda: self._check_budget(len(images)),
                taken=count,
            )
            answers = self.model.answers(body, headers.get(HEADER_LENGTH), len(images))
        except SuspectError as error:
            one_answer = error.reason == ONE_ANSWER and width is None
            if len(images) > 1 and (one_answer or isinstance(error, TooLarge)):
                self.batch_size = 1 if one_answer else len(images) // 2
                raise _Smaller from error
            raise
        self.log.append(Query(self.queries - len(images), len(images)))
        return answers

    def _check_budget(self, images: int) -> None:
        if self.remaining is not None and images > self.remaining:
            raise BudgetSpent(
                f"{images} images must be sent, but only {self.remaining} of {self.budget} queries remain; "
                "ask fewer, or raise the budget; answers so far are kept"
            )

    def _identity(self) -> dict[str, Any]:
        """What an answer hangs on: the same image put to the same suspect in the same form."""
        model, plain = self.model, Pixels()
        pixels = {
            name: value for name, value in asdict(model.pixels).items() if value != getattr(plain, name)
        }
        said = hashlib.sha256(json.dumps(model.says, sort_keys=True).encode()).hexdigest()
        return {
            "url": self._transport.url,
            "model": model.name,
            "version": model.version,
            "input": {"name": model.input_name, "datatype": model.datatype} | pixels,
            "output": model.output_name,
            "answers": asdict(model.answer_format),
            "classes": None if self.classes is None else list(self.classes),
            "metadata": said,
            "purpose": self._purpose,
        }


def _least_decided(answers: dict[bytes, Tensor], keys: list[bytes]) -> list[bytes]:
    """A few of these keys, those whose two largest numbers are nearest each other: there models differ most."""

    def lead(key: bytes) -> float:
        first, second = answers[key].topk(2).values
        return float(first - second)

    return sorted(keys, key=lead)[:PROBE_IMAGES]


def _agree(row: Tensor, before: Tensor, tolerance: float) -> bool:
    """Whether two answers (K,) to one image are those of one model."""
    return bool((row - before).abs().max() <= tolerance * (before.max() - before.min()))


def _path(model: str, version: str | None) -> str:
    path = f"v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def _only_model(transport: Transport) -> str:
    """The one model a server has: by KServe's list, or the repository index of Triton and MLServer."""
    for request, names_in in (
        (("GET", "v2/models"), _listed),
        (("POST", "v2/repository/index", b"{}", {"Content-Type": "application/json"}), _ready),
    ):
        try:
            body, _ = transport.ask(*request, most_bytes=LARGEST_METADATA_BYTES)
            names = sorted(set(names_in(json.loads(body))))
        except SuspectError as error:
            if error.reason not in _NOT_OFFERED:
                raise
            continue
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # a page for people, say
        if len(names) == 1:
            return names[0]
        if names:
            raise ValueError(f"the server has the models {', '.join(names[:20])}; name one with model=…")
    raise ValueError(f"{transport.url} does not say which models it has; name one with model=…")


def _listed(index: Any) -> list[str]:
    return [str(name) for name in index["models"]]


def _ready(index: Any) -> list[str]:
    return [str(one["name"]) for one in index if one.get("state") in (None, "", "READY")]


def _metadata(transport: Transport, path: str, is_needed: bool) -> Any:
    """What the server says of a model; None where it says nothing and nothing is needed."""
    try:
        return json.loads(transport.ask("GET", path, most_bytes=LARGEST_METADATA_BYTES)[0])
    except SuspectError as error:
        if is_needed or error.reason not in _NOT_OFFERED:
            raise
    except (ValueError, RecursionError):
        pass  # a page for people, say; then `read_metadata` asks for what is missing
    return None


_NOT_OFFERED = tuple(f"status {status}" for status in (400, 404, 405, 500, 501))
