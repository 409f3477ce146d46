"""One inference request of a service, from bytes to bytes: read, charged, passed to the model, logged."""

import hashlib
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mea_lib.blackbox.query_api import BudgetSpent
from mea_lib.serving import oip
from mea_lib.serving.clients import Clients
from mea_lib.serving.messages import INPUT, OUTPUT, InferenceRequest
from mea_lib.serving.oip import ProtocolError
from mea_lib.serving.request_log import RequestLog

_logger = logging.getLogger(__name__)


class NotAnswered(RuntimeError):
    """The model failed, or the answer could not be logged; nothing was spent. The reason is in the server's log."""


class Inference:
    """Answers requests for one model, safe with several threads: the model is queried by one at a time.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) probabilities.
        shape: (C, H, W).
        classes: K; None where it is not known.
        batch_limit: images in one request.
        clients: who may query how much.
        log: where every request that reached the model is written down.
        fields: what every answer holds beside the tensor, such as the model's name.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        shape: tuple[int, int, int],
        *,
        classes: int | None,
        batch_limit: int,
        clients: Clients,
        log: RequestLog,
        fields: dict[str, Any],
    ) -> None:
        self._model = model
        self._shape = shape
        self._classes = classes
        self._batch_limit = batch_limit
        self._clients = clients
        self._log = log
        self._fields = fields
        self._turn = threading.Lock()

    def answer(self, client: str, body: bytes, header_length: str | None) -> tuple[bytes, dict[str, str]]:
        """Answer one request of this client.

        Args:
            client: its name.
            body: of the request.
            header_length: value of the header `oip.HEADER_LENGTH`, if it was sent.

        Returns:
            body and headers of the answer.

        Raises:
            ProtocolError: for a request that is not one, or not one for this model.
            BudgetSpent: when the client's budget, or the model's own, does not cover it.
            TooFast: when the client has to wait first.
            NotAnswered: when the model fails or the log cannot be written. After all of these nothing is spent.
        """
        request, tensors = oip.unpack(body, header_length, InferenceRequest)
        images = self._checked(tensors[INPUT])  # (N, C, H, W)
        entry = {
            "client": client,
            "id": request.id,
            "images": len(images),
            "sha256": hashlib.sha256(images.numpy()).hexdigest(),
        }
        remaining = self._clients.charge(client, len(images))
        try:
            probabilities = self._ask(images)  # (N, K)
            self._log.add(**entry, status=200)
        except BudgetSpent:
            self._clients.give_back(client, len(images))
            raise
        except Exception as error:
            self._clients.give_back(client, len(images))
            _logger.exception("a question about %d images was not answered", len(images))
            with suppress(OSError):
                self._log.add(**entry, status=500)
            raise NotAnswered("these images could not be answered; nothing was spent on them") from error
        fields = self._fields | ({} if request.id is None else {"id": request.id})
        if remaining is not None:
            fields["parameters"] = {"remaining_budget": remaining}
        return oip.pack(
            fields, "outputs", {OUTPUT: probabilities.numpy()}, [OUTPUT] if request.wants_bytes else []
        )

    def _checked(self, images: np.ndarray) -> Tensor:
        """The images of a request, if they are such as this model takes."""
        if images.shape[1:] != self._shape or images.ndim != 4:
            raise ProtocolError(
                f"the shape of {INPUT!r} must be {[-1, *self._shape]}, not {list(images.shape)}"
            )
        if not len(images):
            raise ProtocolError(f"{INPUT!r} is empty; send 1 to {self._batch_limit} images")
        if len(images) > self._batch_limit:
            raise ProtocolError(
                f"{len(images)} images are too many for one request; send at most {self._batch_limit}"
            )
        return torch.from_numpy(images)

    def _ask(self, images: Tensor) -> Tensor:
        """The model's answer, (N, K) float32 on the CPU."""
        with self._turn, torch.no_grad():
            answers = self._model(images).detach().float().cpu().contiguous()
        if answers.ndim != 2 or answers.shape != (len(images), self._classes or answers.shape[1]):
            raise ValueError(f"the answer to {len(images)} images has the shape {tuple(answers.shape)}")
        if not answers.isfinite().all():
            raise ValueError("the model answered NaN or infinity")
        return answers
