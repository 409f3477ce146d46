"""What a service of this package is asked and says, as models: they check its requests, and its OpenAPI document is
made of them.

They are the same for every model; what one takes and answers is in its metadata, which may need a token.

Source: KServe, Open Inference Protocol, version 2 (REST).
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mea_lib.serving import oip
from mea_lib.serving.oip import Count, Parameters, Part

INPUT, OUTPUT, DATATYPE = "images", "probabilities", "UINT8"
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


class Images(oip.Tensor):
    """Images (N, C, H, W)."""

    name: Literal[INPUT]
    datatype: Literal[DATATYPE]


class OutputWanted(Part):
    """The one output that there is, as bytes or in JSON."""

    name: Literal[OUTPUT]
    parameters: Parameters | None = None


class InferenceRequest(oip.Request):
    """A query."""

    id: Annotated[str, Field(max_length=256)] | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[Images], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[OutputWanted], Field(max_length=1)] | None = None

    @property
    def wants_bytes(self) -> bool:
        """Whether the answer's tensor should follow its JSON; what is said of the output counts for more."""
        said = [self.parameters and self.parameters.binary_data_output]
        said += [output.parameters and output.parameters.binary_data for output in self.outputs or ()]
        return next((word for word in reversed(said) if word is not None), False)


class Said(Part):
    """What a service says has these members and no others."""

    model_config = ConfigDict(extra="forbid")


class Probabilities(Said):
    """(N, K) numbers."""

    name: Literal[OUTPUT]
    datatype: Literal["FP32"]
    shape: Annotated[list[Count], Field(min_length=2, max_length=2)]
    data: list[float]


class InferenceAnswer(Said):
    """The answer to a query, with what remains of the client's budget where it has one."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[Literal["remaining_budget"], Count] | None = None
    outputs: Annotated[list[Probabilities], Field(min_length=1, max_length=1)]


class TensorMetadata(Said):
    """A tensor that a model takes or gives; -1 stands for any length."""

    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=-1)]]


class ModelMetadata(Said):
    """What a model takes and answers, with the most images in a request and the names of its classes in order."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[Literal["batch_limit", "classes"], Count | list[str]]


class Refusal(Said):
    """Why there is no answer."""

    error: str


_REFUSAL = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
OTHER_REFUSALS = {"default": {"description": "another refusal", "model": Refusal}}


def refusals(*statuses: int) -> dict[int, dict[str, Any]]:
    """These of REFUSALS, as FastAPI's decorators take them beside OTHER_REFUSALS."""
    return {status: {"description": REFUSALS[status], "content": _REFUSAL} for status in statuses}


def _in_place(schema: Any, definitions: dict[str, Any]) -> Any:
    """A JSON Schema with its definitions where they are used."""
    match schema:
        case {"$ref": str(place)}:
            return _in_place(definitions[place.removeprefix("#/$defs/")], definitions)
        case dict():
            return {name: _in_place(one, definitions) for name, one in schema.items() if name != "$defs"}
        case list():
            return [_in_place(one, definitions) for one in schema]
    return schema


_SCHEMA = InferenceRequest.model_json_schema()
# The body of a query in OpenAPI's words. FastAPI is not to read it, since it is bounded and may hold bytes.
REQUEST_BODY = {
    "required": True,
    "description": "images (N, C, H, W), in JSON or as bytes that follow it",
    "content": {
        "application/json": {"schema": _in_place(_SCHEMA, _SCHEMA["$defs"])},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
