"""A model behind HTTP: the service an owner sells answers with, and an adversary queries.

It speaks the Open Inference Protocol, version 2, over REST, as Triton, KServe and MLServer do. Needs the extra
`mea-lib[service]`.
"""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import torch
from torch import Tensor

try:
    import orjson
    from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
    from fastapi.security import HTTPBearer
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException as AnyHTTPException
    from starlette.requests import ClientDisconnect

    from mea_lib.serving.request_body import read_body
    from mea_lib.serving.web_server import BackgroundServer, serve
except ImportError as error:
    raise ImportError(
        f"a model is put behind HTTP with FastAPI and uvicorn, but {error.name} is not installed; "
        'run: pip install "mea-lib[service]"'
    ) from error

from mea_lib.blackbox.query_api import BudgetSpent
from mea_lib.serving import messages, oip
from mea_lib.serving.clients import Clients, TooFast
from mea_lib.serving.inference import Inference, NotAnswered
from mea_lib.serving.messages import DATATYPE, INPUT, OUTPUT, refusals
from mea_lib.serving.oip import ProtocolError
from mea_lib.serving.request_log import RequestLog, read_log
from mea_lib.serving.service_settings import ServiceSettings

__all__ = ["BackgroundServer", "ServiceSettings", "create_app", "read_log", "serve"]


def create_app(
    model: Callable[[Tensor], Tensor],
    shape: Sequence[int],
    settings: ServiceSettings | None = None,
    classes: Sequence[str] = (),
) -> FastAPI:
    """The service of one model, for `serve`, `BackgroundServer` or any ASGI server with one process.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) probabilities; usually an `Oracle`, which rounds, hides or
            blurs them. It is queried by one thread at a time.
        shape: (C, H, W) of an image.
        settings: name and limits.
        classes: their names, in order, for the metadata; without them K is found by a query with no image.

    Returns:
        the application. It describes itself in OpenAPI at `/openapi.json`, without a token. Answers are JSON, or bytes
        where the request asks for them; all errors are `{"error": "…"}`: those of `messages.REFUSALS`, and 405 for a
        wrong method. What is not answered is not charged.

    Raises:
        ValueError: for a shape that is none, more or fewer names than classes, or a log that is none or belongs to
            a service that is running.
        OSError: for a log that cannot be written.

    Source: KServe, Open Inference Protocol, version 2 (REST), and its list of models; Triton, binary tensor data
    extension and model repository index.
    """
    settings = settings or ServiceSettings()
    image_shape = _image_shape(shape)
    width = _width(model, image_shape) or len(classes) or None
    if classes and width != len(classes):
        raise ValueError(
            f"the model tells {width} classes apart, but {len(classes)} names were given: {classes}"
        )
    log = RequestLog(settings.log)
    clients = Clients(settings.tokens, settings.client_budget, settings.rate_limit, log.answered)
    inference = Inference(
        model,
        image_shape,
        classes=width,
        batch_limit=settings.batch_limit,
        clients=clients,
        log=log,
        fields={"model_name": settings.name, "model_version": settings.version},
    )
    body_limit = settings.max_body_bytes or _largest_body(settings.batch_limit, image_shape)

    async def asker(request: Request) -> str:
        address = request.client.host if request.client else "unknown"
        name = clients.identify(request.headers.get("authorization"), address)
        if name is None:
            raise HTTPException(
                401, "show a token that may ask: 'Authorization: Bearer …'", {"WWW-Authenticate": "Bearer"}
            )
        request.state.client = name
        return name

    async def is_ours(name: str) -> None:
        if name != settings.name:
            raise HTTPException(404, f"unknown model {name[:50]!r}; this service has {settings.name!r}")

    async def is_our_version(version: str) -> None:
        if version != settings.version:
            raise HTTPException(404, f"unknown version {version[:50]!r}; this model has {settings.version!r}")

    asks = [Depends(asker)]
    if settings.tokens:
        asks.append(Depends(HTTPBearer(auto_error=False)))  # so that the document says that a token is needed
    server = APIRouter(prefix="/v2", responses=messages.OTHER_REFUSALS)
    model_routes = APIRouter(responses=messages.OTHER_REFUSALS | refusals(401, 404))

    @server.get("/health/live")
    async def live() -> dict[Literal["live"], bool]:
        return {"live": True}

    @server.get("/health/ready")
    async def ready() -> dict[Literal["live", "ready"], bool]:
        return {"live": True, "ready": True}

    @server.get("", dependencies=asks, responses=refusals(401))
    async def server_metadata() -> dict[Literal["name", "version", "extensions"], str | list[str]]:
        return {"name": "mea-lib", "version": "2", "extensions": ["binary_tensor_data"]}

    # KServe's list, for clients that know only the address.
    @server.get("/models", dependencies=asks, responses=refusals(401))
    async def list_of_models() -> dict[Literal["models"], list[str]]:
        return {"models": [settings.name]}

    # Triton's and MLServer's.
    @server.post("/repository/index", dependencies=asks, responses=refusals(401))
    async def model_index() -> list[dict[Literal["name", "version", "state"], str]]:
        return [{"name": settings.name, "version": settings.version, "state": "READY"}]

    @model_routes.get("")
    async def model_metadata() -> messages.ModelMetadata:
        parameters = {"batch_limit": settings.batch_limit, "classes": list(classes)}
        return messages.ModelMetadata(
            name=settings.name,
            versions=[settings.version],
            platform="pytorch",
            inputs=[{"name": INPUT, "datatype": DATATYPE, "shape": [-1, *image_shape]}],
            outputs=[{"name": OUTPUT, "datatype": "FP32", "shape": [-1, width or -1]}],
            parameters={what: value for what, value in parameters.items() if value},
        )

    @model_routes.get("/ready")
    async def model_ready() -> dict[Literal["name", "ready"], str | bool]:
        return {"name": settings.name, "ready": True}

    @model_routes.post(
        "/infer",
        response_model=messages.InferenceAnswer,
        responses={200: {"content": {"application/octet-stream": {}}}} | refusals(*messages.REFUSALS),
        openapi_extra={"requestBody": messages.REQUEST_BODY},
    )
    async def infer(
        request: Request,
        client: Annotated[str, Depends(asker)],
        header_length: Annotated[str | None, Header(alias=oip.HEADER_LENGTH)] = None,
    ) -> Response:
        """Query the model. The header says how many bytes of the body are JSON, where tensors follow as bytes."""
        body = await read_body(request, body_limit)
        content, headers = await run_in_threadpool(inference.answer, client, body, header_length)
        return Response(content, headers=headers)

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        log.open()
        try:
            yield
        finally:
            log.close()

    app = FastAPI(
        title="A model behind the Open Inference Protocol",
        version="2",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=running,
    )
    app.include_router(server)
    of_model = [*asks, Depends(is_ours)]
    app.include_router(model_routes, prefix="/v2/models/{name}", dependencies=of_model)
    app.include_router(
        model_routes,
        prefix="/v2/models/{name}/versions/{version}",
        dependencies=[*of_model, Depends(is_our_version)],
    )
    for kind in _ERRORS:
        app.add_exception_handler(kind, _refusal)
    return app


_ERRORS = (AnyHTTPException, ProtocolError, BudgetSpent, TooFast, NotAnswered, ClientDisconnect, Exception)


async def _refusal(_request: Request, error: Exception) -> Response:
    """The protocol's answer to whatever went wrong, without a word of what only the owner should read."""
    headers: dict[str, str] = {}
    match error:
        case AnyHTTPException():
            status, said, headers = error.status_code, error.detail, dict(error.headers or {})
        case ProtocolError():
            status, said = 400, str(error)
        case ClientDisconnect():
            status, said = 400, "the body broke off"
        case TooFast():
            status, said, headers = 429, str(error), {"Retry-After": str(math.ceil(error.seconds))}
        case BudgetSpent():
            status, said = 429, f"the budget is spent: {error}"
        case NotAnswered():
            status, said = 500, str(error)
        case _:
            status, said = 500, "the service failed; its owner finds the reason in its log"
    if status in (408, 413):  # what is left of the body is not read
        headers["Connection"] = "close"
    return Response(orjson.dumps({"error": said}), status, headers, "application/json")


def _image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or not all(isinstance(length, int) and length > 0 for length in shape):
        raise ValueError(f"the shape of an image is (C, H, W), three numbers from 1, not {tuple(shape)}")
    return tuple(shape)


def _width(model: Callable[[Tensor], Tensor], shape: tuple[int, int, int]) -> int | None:
    """K, as the model's answer to no image tells; None for a model that cannot be queried with none."""
    try:
        return model(torch.empty(0, *shape, dtype=torch.uint8)).shape[1]
    except Exception:
        return None


def _largest_body(images: int, shape: tuple[int, int, int]) -> int:
    """Bytes that are enough for so many images in JSON: "255", comma, blank and brackets for each pixel."""
    return 8 * images * math.prod(shape) + 65_536
