"""What a service says of itself in OpenAPI: addresses, requests, answers and refusals, as JSON Schema.

It is the same for every model; what one takes and answers is in its metadata, which may need a token.

Source: KServe, Open Inference Protocol, version 2 (REST); OpenAPI 3.1.
"""

from collections.abc import Mapping
from typing import Any

from mea_lib.serving.inference import DATATYPE, INPUT, LONGEST_ID, OUTPUT
from mea_lib.serving.oip import HEADER_LENGTH, MOST_DIMENSIONS

ADDRESS = "/openapi.json"
REFUSALS = {
    400: "the request is none for this model",
    401: "no token that may query was shown",
    404: "the model or version is another",
    408: "the body did not come",
    413: "the body is too large",
    415: "the body is compressed",
    429: "the client has to wait, and Retry-After says how long; or, without it, the budget is spent",
    500: "the model failed",
}


def documented(
    summary: str, answer: Mapping[str, Any], *refusals: int, request: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the document says of one address, as arguments of FastAPI's decorators.

    Args:
        summary: what it is for.
        answer: JSON Schema of the answer.
        refusals: those of REFUSALS that it has.
        request: the body of the request, in OpenAPI's words.
    """
    content = {"application/json": {"schema": answer}}
    if request is not None:
        content["application/octet-stream"] = {}
    responses: dict[int | str, Any] = {200: {"description": "the answer", "content": content}}
    for status in refusals:
        responses[status] = {"description": REFUSALS[status], "content": _ERROR}
    responses["default"] = {"description": "another refusal", "content": _ERROR}
    extra = {} if request is None else {"requestBody": request, "parameters": [_HEADER_LENGTH]}
    return {"summary": summary, "responses": responses, "response_model": None, "openapi_extra": extra}


def _object(properties: Mapping[str, Any], *optional: str, open_to_more: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": open_to_more,
    }


def _list(items: Mapping[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


_WORD = {"type": "string"}
_YES_OR_NO = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_ERROR = {"application/json": {"schema": _object({"error": _WORD})}}
_HEADER_LENGTH = {
    "name": HEADER_LENGTH,
    "in": "header",
    "required": False,
    "description": "bytes of JSON, where tensors follow it as bytes",
    "schema": {"type": "integer", "minimum": 0},
}
_SHAPE = _list({"type": "integer", "minimum": -1})

LIVE = _object({"live": _YES_OR_NO})
READY = _object({"live": _YES_OR_NO, "ready": _YES_OR_NO})
MODEL_READY = _object({"name": _WORD, "ready": _YES_OR_NO})
SERVER = _object({"name": _WORD, "version": _WORD, "extensions": _list(_WORD)})
MODELS = _object({"models": _list(_WORD)})
INDEX = _list(_object({"name": _WORD, "version": _WORD, "state": _WORD}))
_TENSOR = _object({"name": _WORD, "datatype": _WORD, "shape": _SHAPE})
MODEL = _object(
    {
        "name": _WORD,
        "versions": _list(_WORD),
        "platform": _WORD,
        "inputs": _list(_TENSOR),
        "outputs": _list(_TENSOR),
        "parameters": _object({"batch_limit": _COUNT, "classes": _list(_WORD)}, "classes"),
    }
)
ANSWER = _object(
    {
        "model_name": _WORD,
        "model_version": _WORD,
        "id": _WORD,
        "parameters": _object({"remaining_budget": _COUNT}),
        "outputs": _list(
            _object(
                {
                    "name": {"const": OUTPUT},
                    "datatype": {"const": "FP32"},
                    "shape": _list(_COUNT, minItems=2, maxItems=2),
                    "data": _list({"type": "number"}),
                }
            ),
            minItems=1,
            maxItems=1,
        ),
    },
    "id",
    "parameters",
)
_OUTPUT_WANTED = _object(
    {"name": {"const": OUTPUT}, "parameters": _object({"binary_data": _YES_OR_NO}, "binary_data")},
    "parameters",
)
_INPUT = _object(
    {
        "name": {"const": INPUT},
        "datatype": {"const": DATATYPE},
        "shape": _list(_COUNT, maxItems=MOST_DIMENSIONS),
        "data": {"type": "array", "description": "pixels, flat or nested as the shape says"},
    },
    open_to_more=True,
)
REQUEST = {
    "required": True,
    "description": "images (N, C, H, W), in JSON or as bytes that follow it",
    "content": {
        "application/json": {
            "schema": _object(
                {
                    "id": {"type": "string", "maxLength": LONGEST_ID},
                    "parameters": _object(
                        {"binary_data_output": _YES_OR_NO}, "binary_data_output", open_to_more=True
                    ),
                    "inputs": _list(_INPUT, minItems=1, maxItems=1),
                    "outputs": _list(_OUTPUT_WANTED, maxItems=1),
                },
                "id",
                "parameters",
                "outputs",
                open_to_more=True,
            )
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
