"""What pyproject.toml cannot say: the wheel takes the finished studies in results/ along, as `mea_lib/results`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithResults(build_py):
    """Copies the studies beside the code that reads them; in an editable installation they stay where they are."""

    def run(self) -> None:
        """Build the package, without files that an earlier build left, and add the studies."""
        if self.editable_mode:
            super().run()
            return
        target = Path(self.build_lib) / "mea_lib"
        shutil.rmtree(target, ignore_errors=True)
        super().run()
        (target / "results").mkdir()
        for study in sorted(Path("results").glob("*.json")):
            shutil.copy(study, target / "results")


setup(cmdclass={"build_py": BuildWithResults})
