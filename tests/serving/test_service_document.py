"""The OpenAPI document of the service, and whether it is as it says: schemathesis sends what the document allows, and
what it does not."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from over_http import linear
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app

# A schema does not say that a list has as many numbers as a shape, so what it allows may still be refused with 400.
NOT_SAID = [positive_data_acceptance]
TOKEN = {"Authorization": "Bearer secret"}


APP = create_app(linear, (1, 2, 2), ServiceSettings(tokens=("secret",), batch_limit=4))
DOCUMENT = schemathesis.openapi.from_dict(APP.openapi())
OPERATIONS = {found.ok().label: found.ok() for found in DOCUMENT.get_all_operations()}


@pytest.fixture(scope="module")
def url():
    with BackgroundServer(APP) as server:
        yield server.url


def pairs():
    """Each operation with what the document allows and, where anything can be wrong with it, what it does not."""
    for label in OPERATIONS:
        yield label, GenerationMode.POSITIVE
        if "{" in label:
            yield label, GenerationMode.NEGATIVE


@pytest.mark.parametrize("operation, mode", list(pairs()))
@pytest.mark.parametrize("is_our_model", [True, False])
def test_the_service_is_as_it_says(url, operation, mode, is_our_model):
    @settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(OPERATIONS[operation].as_strategy(generation_mode=mode))
    def check(case):
        excluded = NOT_SAID
        if is_our_model and "{" in operation:
            case.path_parameters = {"name": "classifier", "version": "1"}
            excluded = [*NOT_SAID, negative_data_rejection]  # what was wrong may have been the path alone
        case.call_and_validate(base_url=url, headers=TOKEN, timeout=60, excluded_checks=excluded)

    check()


@pytest.mark.parametrize("binary", [True, False])
def test_an_answer_is_as_the_document_says(url, binary):
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 2], "data": [0, 1, 2, 255]}
    case = OPERATIONS["POST /v2/models/{name}/infer"].Case(
        path_parameters={"name": "classifier"},
        body={"id": "one", "inputs": [tensor], "parameters": {"binary_data_output": binary}},
        media_type="application/json",
    )
    response = case.call_and_validate(base_url=url, headers=TOKEN, timeout=60)
    assert response.status_code == 200


def test_the_document_is_served_without_a_token_and_tells_nothing_of_the_model(url):
    found = httpx.get(f"{url}/openapi.json")
    assert found.json() == APP.openapi()
    assert "classifier" not in found.text
    assert "secret" not in found.text
    assert found.json()["openapi"].startswith("3.1")
    for page in ("/docs", "/redoc"):  # they would load scripts from elsewhere
        assert httpx.get(f"{url}{page}").status_code == 404
