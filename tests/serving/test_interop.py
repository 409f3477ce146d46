"""The client against MLServer, a server of the Open Inference Protocol that nobody here wrote."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from filelock import FileLock

import mea_lib as mea
from mea_lib.blackbox import SuspectError
from mea_lib.data import ImageSet
from mea_lib.serving.remote import RemoteOracle

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent.parent / "build" / "mlserver"
CONSTRAINTS = HERE / "mlserver-constraints.txt"
PYTHONS = ("python3.11", "python3.12")
NO_CONNECTION = re.compile(
    r"connection ?(error|broken|refused|reset|aborted)|name resolution|failed to resolve|unreachable|timed out",
    re.IGNORECASE,
)

pytestmark = pytest.mark.interop


def python_for_mlserver():
    """An interpreter that MLServer 1.7 runs on."""
    if sys.version_info[:2] <= (3, 12):
        return sys.executable
    for name in PYTHONS:
        if (
            shutil.which(name)
            and subprocess.run([name, "-c", "import ensurepip"], check=False).returncode == 0
        ):
            return name
    pytest.skip(f"MLServer needs Python 3.12 or older, and none of {', '.join(PYTHONS)} is installed here")


@pytest.fixture(scope="session")
def mlserver():
    """MLServer's command, in an environment that is made once and kept while its constraints stay the same."""
    ready, command = ENVIRONMENT / "ready", ENVIRONMENT / "bin" / "mlserver"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with FileLock(f"{ENVIRONMENT}.lock"):
        if not ready.exists() or ready.read_text() != CONSTRAINTS.read_text():
            python = python_for_mlserver()
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            subprocess.run([python, "-m", "venv", str(ENVIRONMENT)], check=True)
            install = [
                ENVIRONMENT / "bin" / "pip",
                "install",
                "--retries",
                "2",
                "-c",
                CONSTRAINTS,
                "mlserver",
            ]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            said = done.stdout + done.stderr
            if done.returncode and NO_CONNECTION.search(said):
                pytest.skip("MLServer could not be fetched: PyPI cannot be reached from here")
            assert done.returncode == 0, said[-3000:]
            ready.write_text(CONSTRAINTS.read_text())
    return command


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


MODELS = {"bytes": ("UINT8", [-1, 1, 16, 16]), "unit": ("FP32", [-1, 16, 16, 1]), "gone": ("BYTES", [-1])}


@pytest.fixture(scope="session")
def url(mlserver, tmp_path_factory):
    """A server with three models."""
    folder = tmp_path_factory.mktemp("mlserver")
    for name, (datatype, shape) in MODELS.items():
        (folder / name).mkdir()
        shutil.copy(HERE / "mlserver_runtime.py", folder / name / "runtime.py")
        settings = {
            "name": name,
            "implementation": "runtime.LastDigits",
            "inputs": [{"name": "images", "datatype": datatype, "shape": shape}],
            "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}],
        }
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0}))
    url = f"http://127.0.0.1:{http}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([mlserver, "start", folder], cwd=folder, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, (folder / "log").read_text()[-3000:]
                try:
                    if httpx.get(f"{url}/v2/health/ready", trust_env=False).is_success:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            else:
                pytest.fail((folder / "log").read_text()[-3000:])
            yield url
        finally:
            process.terminate()
            process.wait(30)


def last_digits(images):
    """What the models answer, computed here."""
    pixels = images.numpy().reshape(len(images), -1).astype(int)
    return torch.from_numpy(np.stack([np.bincount(one % 10, 256.0 - one, 10) for one in pixels])).float()


@pytest.mark.parametrize(("model", "input_range"), [("bytes", None), ("unit", (0, 1))])
def test_answers_are_the_models(url, digits, model, input_range):
    images = digits.test.images[:50]
    oracle = RemoteOracle(url, model=model, input_range=input_range)
    assert torch.equal(oracle(images), last_digits(images))
    # After a probe of 8 the other 42 are refused, and then 21, which costs nothing.
    assert (oracle.queries, oracle.batch_size, oracle.are_probabilities) == (50, 10, False)


def test_a_model_must_be_named_and_be_there_and_take_images(url):
    with pytest.raises(ValueError, match="bytes, gone, unit; name one with model="):
        RemoteOracle(url)
    with pytest.raises(SuspectError, match=r"404: Model nobody not found; check url and model"):
        RemoteOracle(url, model="nobody")
    with pytest.raises(ValueError, match="takes BYTES, which holds no pixels"):
        RemoteOracle(url, model="gone")
    with pytest.raises(ValueError, match="input_range="):
        RemoteOracle(url, model="unit")


@pytest.fixture
def endings():
    """Images of the models' own task: the class is the digit that all pixels end in."""
    labels = torch.arange(10).repeat_interleave(30)
    tens = torch.randint(0, 25, (300, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    images = (10 * tens + labels[:, None, None, None]).to(torch.uint8)
    return ImageSet(images, labels, tuple("0123456789"), "endings")


def test_a_verification_is_that_of_the_same_model_in_memory_and_can_be_resumed(url, endings, key, tmp_path):
    options = {"plan": mea.Plan(samples=50, fewest_samples=50)}
    here = mea.verify_ownership(last_digits, key, endings, **options)
    assert here.is_decided
    short = RemoteOracle(url, model="bytes", log=tmp_path / "log")
    short(mea.data.watermark_samples(endings, key, 50))
    with pytest.raises(mea.BudgetSpent):
        mea.verify_ownership(RemoteOracle(url, model="bytes", budget=1), key, endings, **options)
    # A new process sends a few of the logged queries again, to see that the suspect is the same.
    budget = RemoteOracle(url, model="bytes", log=tmp_path / "log").cost(*all_images(endings, key))
    there = RemoteOracle(url, model="bytes", log=tmp_path / "log", budget=budget)
    evidence = mea.verify_ownership(there, key, endings, **options)
    assert (evidence.wsr, evidence.wfpr, evidence.control) == (here.wsr, here.wfpr, here.control)
    assert (evidence.answered, evidence.failures) == (50, {})
    assert there.remaining < 8  # the cost takes what is asked again at its most
    assert url in str(evidence)
    assert evidence.suspect["log_digest"] == there.query_log.digest()


def all_images(test, key):
    """All queries of a verification on 50 samples."""
    asked = []

    def suspect(images):
        asked.append(images)
        return last_digits(images)

    mea.verify_ownership(suspect, key, test, plan=mea.Plan(50, fewest_samples=50))
    return asked
