"""A first run: data fetched once by any number of processes, whole or not at all; offline is told at once."""

import gzip
import hashlib
import http.client
import http.server
import multiprocessing
import os
import pickle
import signal
import socket
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from mea_lib.data import debian, download, fashion_files, fetch, known, reachable
from mea_lib.data.__main__ import main
from mea_lib.data.sources import DataNotFound, read_parts

NUMBERS = {"train": 40, "t10k": 20}


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A folder with four small files that pass for Fashion-MNIST's, by name their packed contents' MD5."""
    folder = tmp_path / "made"
    folder.mkdir()
    generator, checksums = np.random.default_rng(0), []
    for prefix, number in NUMBERS.items():
        pixels = bytes(16) + generator.integers(0, 256, number * 784, dtype=np.uint8).tobytes()
        labels = bytes(8) + bytes(place % 10 for place in range(number))
        for name, content in (
            (f"{prefix}-images-idx3-ubyte", pixels),
            (f"{prefix}-labels-idx1-ubyte", labels),
        ):
            packed = gzip.compress(content, 1)
            (folder / f"{name}.gz").write_bytes(packed)
            monkeypatch.setitem(fashion_files.SHA256, name, hashlib.sha256(content).hexdigest())
            checksums.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(debian, "FOLDER", Path("/usr/share/datasets/no-such-folder"))
    monkeypatch.setattr(datasets.FashionMNIST, "resources", checksums)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:1/"])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without apt-get
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps a list of what was asked; while a file `slow` lies there it stops halfway."""

    def do_GET(self):
        folder = Path(self.directory)
        with (folder.parent / "asked").open("a") as log:
            log.write(self.path + "\n")
        if not (folder.parent / "slow").exists():
            return super().do_GET()
        content = (folder / self.path.lstrip("/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        while (folder.parent / "slow").exists():
            time.sleep(0.02)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """Serve a folder from another process; gives its address."""
    servers = []

    def start(folder):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *args: Mirror(*args, directory=str(folder))
        )
        process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
        process.start()
        servers.append(process)
        server.socket.close()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for process in servers:
        process.kill()
        process.join()


@pytest.fixture
def mirror(fashion, serve, monkeypatch):
    """torchvision's mirror of Fashion-MNIST, on this machine."""
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [serve(fashion)])
    return fashion


@pytest.fixture
def package(fashion, tmp_path, monkeypatch):
    """Debian's programs, with a package of the data set; gives the file that says how often it was fetched."""
    inside = str(debian.FOLDER).lstrip("/")
    with tarfile.open(tmp_path / "package", "w") as archive:
        for path in fashion.iterdir():
            archive.add(path, f"./{inside}/{path.name}")
    log, programs = tmp_path / "fetched", tmp_path / "bin"
    programs.mkdir()
    log.write_text("")
    apt = f"echo once >> {log}\nsleep 0.1\ncp {tmp_path / 'package'} ./{debian.PACKAGE}_1_all.deb\n"
    for name, script in (("apt-get", apt), ("dpkg-deb", 'tar -xf "$2" -C "$3"\n')):
        (programs / name).write_text(f"#!/bin/sh\nset -e\n{script}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.defpath}")
    return log


def numbers(name="fashion-mnist"):
    parts = read_parts(name)
    return len(parts.train), len(parts.test)


def leftovers(cache):
    return [path.name for path in cache.iterdir() if "partial" in path.name or "damaged" in path.name]


def test_eight_processes_download_once(mirror, own_cache, at_once):
    at_once(8, numbers)
    assert len((mirror.parent / "asked").read_text().splitlines()) == 4
    assert numbers() == (40, 20)
    assert not leftovers(own_cache)


def test_eight_processes_unpack_debians_package_once(package, own_cache, at_once):
    at_once(8, numbers)
    assert package.read_text() == "once\n"
    assert numbers() == (40, 20)
    assert not leftovers(own_cache)


def test_eight_processes_read_digits(at_once):
    numbers("digits")  # imports scikit-learn for all of them
    at_once(8, lambda: numbers("digits"))


def cifar_archive(folder, monkeypatch):
    """A small CIFAR-10 in its own layout, packed, whose checksums torchvision takes for the right ones."""
    generator = np.random.default_rng(0)
    inside = folder / "cifar-10-batches-py"
    inside.mkdir(parents=True)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    contents = {"batches.meta": {"label_names": names}}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        pixels = generator.integers(0, 256, (10, 3072), dtype=np.uint8)
        contents[name] = {"data": pixels, "labels": list(range(10))}
    checksums = {}
    for name, content in contents.items():
        (inside / name).write_bytes(pickle.dumps(content))
        checksums[name] = hashlib.md5((inside / name).read_bytes()).hexdigest()
    packed = folder / "cifar-10-python.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(inside, inside.name)
    for attribute in ("train_list", "test_list"):
        own = [[name, checksums[name]] for name, _ in getattr(datasets.CIFAR10, attribute)]
        monkeypatch.setattr(datasets.CIFAR10, attribute, own)
    monkeypatch.setitem(datasets.CIFAR10.meta, "md5", checksums["batches.meta"])
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(packed.read_bytes()).hexdigest())
    return packed


def test_eight_processes_download_an_archive_once(tmp_path, own_cache, serve, at_once, monkeypatch):
    packed = cifar_archive(tmp_path / "cifar", monkeypatch)
    monkeypatch.setattr(datasets.CIFAR10, "url", serve(packed.parent) + packed.name)
    at_once(8, lambda: numbers("cifar-10"))
    assert (tmp_path / "asked").read_text().splitlines() == [f"/{packed.name}"]
    assert sorted(path.name for path in own_cache.iterdir()) == ["cifar-10-batches-py", "cifar-10.lock"]
    assert read_parts("cifar-10").train.classes[2] == "bird"


def test_a_damaged_file_of_an_archive_is_noticed_and_fetched_again(
    tmp_path, own_cache, serve, monkeypatch, caplog
):
    packed = cifar_archive(tmp_path / "cifar", monkeypatch)
    monkeypatch.setattr(datasets.CIFAR10, "url", serve(packed.parent) + packed.name)
    whole = read_parts("cifar-10").train.digest()
    batch = own_cache / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes().replace(b"\x07", b"\x08", 1))
    assert read_parts("cifar-10").train.digest() == whole
    assert "its checksum is another" in caplog.text
    assert not leftovers(own_cache)
    monkeypatch.setenv("MEA_DATA", str(tmp_path / "cifar"))
    batch = tmp_path / "cifar" / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-9])
    with pytest.raises(DataNotFound, match="cifar-10-batches-py is damaged"):
        read_parts("cifar-10")


def test_a_download_killed_in_the_middle_leaves_nothing_half_there(mirror, own_cache):
    slow = mirror.parent / "slow"
    slow.write_text("")
    process = multiprocessing.get_context("fork").Process(target=numbers)
    process.start()
    partial = (
        own_cache / "partial-fashion-mnist" / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz.partial"
    )
    deadline = time.monotonic() + 20
    while not (mirror.parent / "asked").exists() or not partial.exists():
        assert time.monotonic() < deadline, "the download did not begin"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (own_cache / "FashionMNIST").exists()
    slow.unlink()
    assert numbers() == (40, 20)
    assert not leftovers(own_cache)


def test_apt_killed_in_the_middle_leaves_nothing_half_there(package, own_cache, tmp_path):
    apt = tmp_path / "bin" / "apt-get"
    script = apt.read_text()
    apt.write_text(script + "echo $$ > begun; sleep 60\n")
    process = multiprocessing.get_context("fork").Process(target=numbers)
    process.start()
    begun = own_cache / "partial-fashion-mnist" / debian.PACKAGE / "begun"
    deadline = time.monotonic() + 20
    while not begun.exists() or not begun.read_text().strip():
        assert time.monotonic() < deadline, "apt-get was not asked"
        time.sleep(0.01)
    started = int(begun.read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    os.killpg(started, signal.SIGKILL)
    apt.write_text(script)
    assert not (own_cache / debian.PACKAGE).exists()
    assert numbers() == (40, 20)
    assert not leftovers(own_cache)


def test_a_server_that_talks_nonsense_is_named(mirror, monkeypatch):
    def answer(request, timeout):
        raise http.client.BadStatusLine("<html>")

    monkeypatch.setattr(download, "urlopen", answer)
    with pytest.raises(DataNotFound, match=r"127\.0\.0\.1: <html>"):
        numbers()


def test_what_is_not_the_file_is_not_kept(mirror, own_cache, monkeypatch):
    wrong = [(name, "0" * 32) for name, _ in datasets.FashionMNIST.resources]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", wrong)
    with pytest.raises(DataNotFound, match="what came is not the file that was asked for"):
        numbers()
    assert sorted(path.name for path in own_cache.iterdir()) == ["fashion-mnist.failed", "fashion-mnist.lock"]


def test_a_second_mirror_is_asked_where_the_first_is_gone(mirror, monkeypatch):
    monkeypatch.setattr(
        datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:1/", *datasets.FashionMNIST.mirrors]
    )
    assert numbers() == (40, 20)


def test_offline_is_said_with_the_ways_out_and_remembered(fashion, monkeypatch):
    attempts = []
    monkeypatch.setattr(download, "check_reachable", lambda url: attempts.append(url) or fail())
    for expected in (1, 1):
        with pytest.raises(DataNotFound) as caught:
            numbers()
        assert len(attempts) == expected
    for words in (
        "system package",
        "torchvision",
        "no cable",
        "apt-get",
        "MEA_DATA",
        debian.PACKAGE,
        "tries again",
    ):
        assert words in str(caught.value)
    with pytest.raises(DataNotFound):
        read_parts("fashion-mnist", again=True)
    assert len(attempts) == 2
    later = time.time() + fetch.REMEMBERED_SECONDS + 1
    monkeypatch.setattr(fetch.time, "time", lambda: later)
    with pytest.raises(DataNotFound):
        numbers()
    assert len(attempts) == 3


def test_eight_offline_processes_try_once(fashion, tmp_path, monkeypatch, at_once):
    def refuse(url):
        with (tmp_path / "attempts").open("a") as log:
            log.write("one\n")
        fail()

    def told():
        with pytest.raises(DataNotFound, match="no cable"):
            numbers()

    monkeypatch.setattr(download, "check_reachable", refuse)
    at_once(8, told)
    assert (tmp_path / "attempts").read_text() == "one\n"


def fail():
    raise reachable.Unreachable("no cable")


def test_a_failure_is_forgotten_once_the_data_are_there(mirror, own_cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(download, "check_reachable", lambda url: fail())
        with pytest.raises(DataNotFound):
            numbers()
    assert main(["fashion-mnist"]) == 0
    assert not (own_cache / "fashion-mnist.failed").exists()


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    def hang(address, timeout):
        time.sleep(0.5)
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", hang)
    with pytest.raises(
        reachable.Unreachable, match=r"server\.invalid cannot be reached \(no answer within 0\.1"
    ):
        reachable.check_reachable("https://server.invalid/file", 0.1)


def test_behind_a_proxy_the_proxy_is_asked(monkeypatch):
    asked = []

    class Connection:
        def close(self):
            pass

    def connect(address, timeout):
        asked.append(address)
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    reachable.check_reachable("https://server.invalid/file")
    monkeypatch.setenv("no_proxy", "server.invalid")
    reachable.check_reachable("https://server.invalid/file")
    assert asked == [("proxy.invalid", 3128), ("server.invalid", 443)]


def test_apt_that_does_nothing_is_ended(package, own_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "START_SECONDS", 0.2)
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(DataNotFound, match=r"apt-get did nothing for"):
        numbers()


def test_what_apt_says_is_passed_on(package, tmp_path):
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\necho E: Unable to locate package >&2\nexit 100\n")
    with pytest.raises(DataNotFound, match="apt-get: E: Unable to locate package"):
        numbers()


def test_mnists_files_are_not_fashion_mnist(fashion, tmp_path):
    """Same names, same lengths, other pixels."""
    name = "train-images-idx3-ubyte"
    content = bytearray(gzip.decompress((fashion / f"{name}.gz").read_bytes()))
    content[99] ^= 1
    (fashion / f"{name}.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(
        DataNotFound, match=r"train-images-idx3-ubyte\.gz is not Fashion-MNIST's: its checksum"
    ):
        read_parts("fashion-mnist", root=fashion)


def test_files_may_be_unpacked(fashion):
    for path in list(fashion.glob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(read_parts("fashion-mnist", root=fashion).train) == 40


def test_the_users_own_files_come_first_and_a_damaged_one_is_named(fashion, tmp_path, monkeypatch):
    raw = tmp_path / "mine" / "FashionMNIST" / "raw"
    raw.parent.mkdir(parents=True)
    fashion.rename(raw)
    monkeypatch.setattr(known, "download", lambda *args: pytest.fail("asked the internet"))
    assert len(read_parts("fashion-mnist", root=tmp_path / "mine").train) == 40
    monkeypatch.setenv("MEA_DATA", str(tmp_path / "mine"))
    assert read_parts("fashion-mnist").read.source == f"files in {tmp_path / 'mine'}"
    packed = raw / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(DataNotFound, match=r"MEA_DATA is .*train-images-idx3-ubyte\.gz is cut off"):
        read_parts("fashion-mnist")


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar-10", "digits"])
def test_a_folder_that_is_not_there_is_never_passed_over(mirror, tmp_path, monkeypatch, name):
    missing = tmp_path / "nonexistent"
    with pytest.raises(DataNotFound, match=f"root is {missing}, and there is no such folder"):
        read_parts(name, root=missing)
    monkeypatch.setenv("MEA_DATA", str(missing))
    with pytest.raises(DataNotFound, match=f"MEA_DATA is {missing}, and there is no such folder"):
        read_parts(name)


def test_a_folder_without_the_data_set_is_never_passed_over(mirror, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MEA_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataNotFound, match=r"leave MEA_DATA out to have it fetched"):
        read_parts("fashion-mnist")


def test_the_command_says_in_a_line_where_each_came_from(mirror, own_cache, capsys):
    assert main(["digits", "fashion-mnist"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "digits: scikit-learn's digits, 1,438 + 359 images of 16×16 pixels, grey"
    assert second == "fashion-mnist: download from torchvision's mirror, 40 + 20 images of 28×28 pixels, grey"
    assert main(["fashion-mnist"]) == 0
    assert f"fashion-mnist: files kept in {own_cache}" in capsys.readouterr().out


def test_the_command_ends_with_1_and_the_reason(fashion, monkeypatch, capsys):
    assert main(["digits", "fashion-mnits"]) == 1
    assert "unknown data set 'fashion-mnits'" in capsys.readouterr().err
    monkeypatch.setenv("MEA_DATA", "/nonexistent")
    assert main(["fashion-mnist"]) == 1
    assert capsys.readouterr().err.startswith("MEA_DATA is /nonexistent")
