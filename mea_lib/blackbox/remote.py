"""A suspect that is only a web address: a model behind any server of the Open Inference Protocol."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from torch import Tensor

from mea_lib.blackbox.oip import HEADER_LENGTH
from mea_lib.blackbox.query_api import BudgetSpent, Query
from mea_lib.blackbox.query_log import QueryLog, image_keys
from mea_lib.blackbox.remote_model import RemoteModel, read_metadata
from mea_lib.blackbox.suspect_error import SuspectError
from mea_lib.blackbox.transport import TooLarge, Transport

ON_FAILURE = ("raise", "skip")
# After so many batches in a row that no attempt could save, each further one is tried once.
PATIENT_BATCHES = 3
PROBABILITY_TOLERANCE = 1e-2


class RemoteOracle:
    """Asks a model over HTTP as an `Oracle` asks one in memory: (N, C, H, W) uint8 images → (N, K) answers.

    Works with every server that speaks version 2 of the protocol with JSON tensors (KServe, Triton, MLServer,
    `mea serve`). No image is paid for twice: its answer is kept, and the same image is answered from there. With
    `log` that holds beyond this process, so an interrupted verification goes on where it was; batches are asked one
    after the other, also by several processes that share a log. An answer that was on its way when the process was
    killed, or that was cut off and asked for again, has been paid for all the same; nobody but the server can know.

    An answer is K finite numbers. They need not be probabilities: a verification looks at the largest alone, and
    `are_probabilities` says what they were, for a thief whose method needs it.

    Args:
        url: http or https, of the server; what comes before `/v2`.
        model: its name; None takes the only one the server has.
        version: of the model; None where it has only one.
        token: sent as `Authorization: Bearer …` to this origin and no other. Use https when you pass one.
        budget: how many images may be sent in all by this object; None for no limit.
        log: the file of the query log, made if need be; None keeps answers as long as this object.
        batch_size: images in a request; halved when the server says that is too many.
        timeout: seconds that one attempt may take in all.
        attempts: how often a batch is sent that meets a broken connection, a timeout, a 429 with a time to try again
            (waited for, up to 60 seconds), or a 500, 502, 503 or 504. Waits between grow and hold some chance.
        on_failure: "raise", or "skip" to answer NaN for images the suspect gave no answer to, and count the
            reason in `failures`.
        input_name, output_name, datatype: of the model's tensors, for servers whose metadata do not name them or
            name several. `datatype` is the protocol's word, such as "UINT8".
        input_range: what the pixels 0 and 255 become, for models that take floats, such as (0, 1).
        classes: K, for models that answer with a label; their answers become one-hot rows.
        trust_env: let proxies and certificates be named by the environment.

    Attributes:
        queries: images that this object sent and that the server may charge for: it answered, or the connection
            broke afterwards. Refusals and answers found in the log do not count.
        budget: the limit on these.
        log: one `Query` for each request that was answered; numbers count the images sent.
        model: the `RemoteModel`, as the metadata describe it.
        failures: images without an answer, by reason.
        query_log: the `QueryLog`.
        are_probabilities: whether all rows so far were, to a hundredth; None before the first one.

    Raises:
        ValueError: for arguments that mean nothing, a server with several models where none is named, a model that
            cannot be asked about images, a file that is no log or another suspect's.
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
        classes: int | None = None,
        trust_env: bool = False,
    ) -> None:
        if budget is not None and budget < 0:
            raise ValueError(f"a budget is a number of images, at least 0, not {budget}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if on_failure not in ON_FAILURE:
            raise ValueError(f"unknown way to fail {on_failure!r}; choose one of: {', '.join(ON_FAILURE)}")
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
                input_range=input_range,
            )
        self._version_asked = version
        self.query_log = QueryLog(log, self._identity())
        self.budget = budget
        self.on_failure = on_failure
        self.batch_size = min(batch_size, self.model.largest_batch or batch_size)
        self.queries = 0
        self.log: list[Query] = []
        self.failures: Counter[str] = Counter()
        self.are_probabilities: bool | None = None
        self._lost_batches = 0
        self._turn = threading.Lock()

    @property
    def remaining(self) -> int | None:
        """Images that may still be sent; None where there is no limit."""
        return None if self.budget is None else self.budget - self.queries

    def cost(self, *images: Tensor) -> int:
        """How many of these images, (N, C, H, W) each, would be sent: those without an answer, each once."""
        keys = {key for part in images for key in image_keys(part)}
        return len(keys) - len(self.query_log.find(list(keys)))

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
            TypeError, ValueError: for images of another type or shape.
        """
        if not isinstance(images, Tensor) or images.dtype != torch.uint8:
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"a query is a tensor of uint8 images from 0 to 255, not {kind}")
        if images.ndim != 4:
            raise ValueError(f"a query has the shape (N, C, H, W), not {tuple(images.shape)}")
        keys = image_keys(images)
        place: dict[bytes, int] = {}  # of the first such image
        for number, key in enumerate(keys):
            place.setdefault(key, number)
        answers = self.query_log.find(list(place))
        missing = [key for key in place if key not in answers]
        self._check_budget(len(missing))
        if missing:
            with self._turn, self._transport as transport:
                while missing:
                    batch, missing = missing[: self.batch_size], missing[self.batch_size :]
                    batch_images = images[torch.tensor([place[key] for key in batch], device=images.device)]
                    try:
                        answers |= self._answer(transport, batch, batch_images)
                    except TooLarge:
                        missing = batch + missing
        width = self.query_log.width() or self.model.classes or 2
        silence = torch.full((width,), torch.nan)
        rows = [answers.get(key, silence) for key in keys]
        return (torch.stack(rows) if rows else torch.empty(0, width)).to(images.device)

    def describe(self) -> dict[str, Any]:
        """What a report says of this suspect: who it is, when it was asked, and the digest of the query log."""
        span = self.query_log.span()
        return self._identity() | {
            "first_asked": span[0] if span else None,
            "last_asked": span[1] if span else None,
            "sent": self.queries,
            "answers_in_log": len(self.query_log),
            "log": None if self.query_log.path is None else str(self.query_log.path),
            "log_digest": self.query_log.digest(),
        }

    def _answer(self, transport: Transport, keys: list[bytes], images: Tensor) -> dict[bytes, Tensor]:
        """Ask one batch, or find that another process has; the answers by key, without those there are none of.

        Raises:
            TooLarge: after the batch size was halved; then the batch must be asked again.
        """
        with self.query_log.alone():
            found = self.query_log.find(keys)
            if len(found) == len(keys):
                return found
            asked = [number for number, key in enumerate(keys) if key not in found]
            keys = [keys[number] for number in asked]
            images = images[torch.tensor(asked, device=images.device)]
            width = self.query_log.width()
            try:
                rows = self._send(transport, images)
                if width not in (None, rows.shape[1]):
                    raise SuspectError(
                        f"the suspect has answered with {width} numbers an image so far, and now with "
                        f"{rows.shape[1]}; it is not one model",
                        "another width",
                    )
            except TooLarge as error:
                if len(images) > 1:
                    self.batch_size = len(images) // 2
                    raise
                return found | self._fail(keys, width, SuspectError(str(error), error.reason))
            except SuspectError as error:
                return found | self._fail(keys, width, error)
            self._lost_batches = 0
            self.log.append(Query(self.queries - len(images), len(images)))
            finite = rows.isfinite().all(1)
            reasons = [None if good else "no finite numbers" for good in finite.tolist()]
            self.query_log.record(keys, rows, reasons)
        if not finite.all():
            self._note(
                int((~finite).sum()),
                SuspectError(
                    "the suspect answered NaN or infinity, which names no class", "no finite numbers"
                ),
            )
        good = rows[finite]
        if len(good):
            sums_to_one = (good.sum(1) - 1).abs() < PROBABILITY_TOLERANCE
            are = bool((sums_to_one & (good >= 0).all(1)).all())
            self.are_probabilities = are and self.are_probabilities is not False
        return found | {key: row for key, row, fine in zip(keys, rows, finite.tolist(), strict=True) if fine}

    def _send(self, transport: Transport, images: Tensor) -> Tensor:
        """What the suspect answers to one request, (N, K)."""

        def count() -> None:
            self.queries += len(images)

        body, headers = transport.ask(
            "POST",
            f"{_path(self.model.name, self._version_asked)}/infer",
            *self.model.request(images),
            attempts=1 if self._lost_batches >= PATIENT_BATCHES else None,
            before=lambda: self._check_budget(len(images)),
            taken=count,
        )
        return self.model.answers(body, headers.get(HEADER_LENGTH), len(images))

    def _fail(self, keys: list[bytes], width: int | None, error: SuspectError) -> dict[bytes, Tensor]:
        """No answers to a whole batch, written down as such."""
        self._lost_batches += 1
        self.query_log.record(
            keys, torch.full((len(keys), width or 1), torch.nan), [error.reason] * len(keys)
        )
        self._note(len(keys), error)
        return {}

    def _note(self, images: int, error: SuspectError) -> None:
        self.failures[error.reason] += images
        if self.on_failure == "raise":
            raise error

    def _check_budget(self, images: int) -> None:
        if self.remaining is not None and images > self.remaining:
            raise BudgetSpent(
                f"{images} images must be sent, but only {self.remaining} of {self.budget} queries remain; "
                "ask fewer, or raise the budget; answers so far are kept"
            )

    def _identity(self) -> dict[str, Any]:
        """What an answer hangs on: the same image put to the same suspect in the same form."""
        model = self.model
        return {
            "url": self._transport.url,
            "model": model.name,
            "version": model.version,
            "input": [
                model.input_name,
                model.datatype,
                None if not model.input_range else [*model.input_range],
            ],
            "output": model.output_name,
        }


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
            body, _ = transport.ask(*request)
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


def _listed(found: Any) -> list[str]:
    return [str(name) for name in found["models"]]


def _ready(found: Any) -> list[str]:
    return [str(one["name"]) for one in found if one.get("state") in (None, "", "READY")]


def _metadata(transport: Transport, path: str, is_needed: bool) -> Any:
    """What the server says of a model; None where it says nothing and nothing is needed."""
    try:
        return json.loads(transport.ask("GET", path)[0])
    except SuspectError as error:
        if is_needed or error.reason not in _NOT_OFFERED:
            raise
    except (ValueError, RecursionError):
        pass  # a page for people, say; then `read_metadata` asks for what is missing
    return None


_NOT_OFFERED = tuple(f"status {status}" for status in (400, 404, 405, 500, 501))
