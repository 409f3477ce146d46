"""The package's files, made from the published commit and from nothing else that lies in the folder."""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from publishing.address import Address
from publishing.stamps import stamp_citation, stamp_project


def build_packages(root: Path, folder: Path, address: Address) -> tuple[Path, Path]:
    """Make the wheel and the source distribution, which name the address; their paths in `folder`.

    Args:
        root: of the repository; what is not committed there is left out.
        folder: for the two files.
        address: of the published book.

    Raises:
        subprocess.CalledProcessError: where the commit is not in the repository.
        RuntimeError: where the package cannot be built from it, with what was said.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        packed = subprocess.run(
            ["git", "archive", "--format=zip", address.commit], cwd=root, check=True, capture_output=True
        )
        with zipfile.ZipFile(io.BytesIO(packed.stdout)) as files:
            files.extractall(source)
        for name, stamp in (("pyproject.toml", stamp_project), ("CITATION.cff", stamp_citation)):
            path = source / name
            path.write_text(stamp(path.read_text(encoding="utf-8"), address), encoding="utf-8")
        command = [sys.executable, "-m", "build", "--outdir", str(folder), str(source)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise RuntimeError(
                f"the package could not be built:\n{built.stdout[-3000:]}\n{built.stderr[-3000:]}"
            )
    (wheel,), (sources,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sources
