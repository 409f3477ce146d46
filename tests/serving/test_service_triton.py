"""The service queried by NVIDIA's client for Triton, which knows nothing of this package."""

from itertools import product

import numpy as np
import pytest
import torch
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from mea_lib import Oracle
from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app, read_log


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def triton(tiny, log):
    settings = ServiceSettings(name="digits", batch_limit=8, client_budget=20, log=log)
    app = create_app(Oracle(tiny), (1, 16, 16), settings, tuple("0123456789"))
    with BackgroundServer(app) as server:
        client = InferenceServerClient(server.url.removeprefix("http://"), concurrency=4)
        yield client
        client.close()


def tensor(images: torch.Tensor, binary=True, name="images"):
    array = images.numpy()
    found = InferInput(name, list(array.shape), {"uint8": "UINT8", "float32": "FP32"}[str(array.dtype)])
    return found.set_data_from_numpy(array, binary_data=binary)


def test_it_is_answered_in_every_form(triton, tiny, digits):
    images = digits.test.images[:1]
    as_bytes, as_json = (InferRequestedOutput("probabilities", binary_data=one) for one in (True, False))
    for number, (binary_in, outputs, version) in enumerate(
        product((True, False), (None, [as_bytes], [as_json]), ("", "1"))
    ):
        found = triton.infer("digits", [tensor(images, binary_in)], version, outputs, request_id="r")
        np.testing.assert_allclose(
            found.as_numpy("probabilities"), tiny(images).softmax(1).detach().numpy(), rtol=1e-5
        )
        said = found.get_response()
        assert (said["id"], said["model_name"], said["model_version"]) == ("r", "digits", "1")
        assert said["parameters"] == {"remaining_budget": 19 - number}
        assert found.get_output("probabilities")["datatype"] == "FP32"
        assert found.get_output("probabilities")["shape"] == [1, 10]


def test_questions_in_flight_together_get_their_own_answers(triton, tiny, digits, log):
    parts = digits.test.images[:18].split(3)
    asked = [triton.async_infer("digits", [tensor(part)], request_id=str(n)) for n, part in enumerate(parts)]
    for part, request in zip(parts, asked, strict=True):
        expected = tiny(part).softmax(1).detach().numpy()
        np.testing.assert_allclose(request.get_result().as_numpy("probabilities"), expected, rtol=1e-5)
    assert {entry.id for entry in read_log(log)} == set("012345")


def test_it_reads_the_metadata(triton):
    assert triton.get_model_repository_index() == [{"name": "digits", "version": "1", "state": "READY"}]
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("digits")
    assert triton.is_model_ready("digits", "1")
    assert not triton.is_model_ready("digits", "2")
    assert not triton.is_model_ready("other")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    metadata = triton.get_model_metadata("digits", "1")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 1, 16, 16]}]
    assert metadata["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]


def test_it_reads_the_errors(triton, digits, log):
    images = digits.test.images
    for binary, (chosen, name, model, status, words) in product(
        (True, False),
        (
            (images[:2].float(), "images", "digits", "400", "'UINT8'"),
            (images[:2, 0], "images", "digits", "400", "the shape of 'images'"),
            (images[:2], "input", "digits", "400", "'images'"),
            (images[:9], "images", "digits", "400", "at most 8"),
            (images[:2], "images", "other", "404", "unknown model 'other'"),
        ),
    ):
        with pytest.raises(InferenceServerException, match=words) as error:
            triton.infer(model, [tensor(chosen, binary, name)])
        assert error.value.status() == status
    with pytest.raises(InferenceServerException, match="as it is") as error:
        triton.infer("digits", [tensor(images[:2])], request_compression_algorithm="gzip")
    assert error.value.status() == "415"
    for number in (8, 8, 4):
        triton.infer("digits", [tensor(images[:number])])
    with pytest.raises(InferenceServerException, match="only 0 of this client's 20 remain") as error:
        triton.infer("digits", [tensor(images[:1])])
    assert error.value.status() == "429"
    assert [entry.images for entry in read_log(log)] == [8, 8, 4]


def test_a_token_goes_along(tiny, digits):
    app = create_app(Oracle(tiny), (1, 16, 16), ServiceSettings(tokens=("secret",)))
    with BackgroundServer(app) as server:
        client = InferenceServerClient(server.url.removeprefix("http://"))
        with pytest.raises(InferenceServerException) as error:
            client.infer("classifier", [tensor(digits.test.images[:2])])
        assert error.value.status() == "401"
        headers = {"Authorization": "Bearer secret"}
        found = client.infer("classifier", [tensor(digits.test.images[:2])], headers=headers)
        assert found.as_numpy("probabilities").shape == (2, 10)
        client.close()
