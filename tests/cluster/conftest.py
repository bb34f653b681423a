"""A Slurm lab for the tests of cluster/."""

import os
import pathlib
import sys
import tempfile

import pytest
from program import BUILD, ROOT

sys.path.insert(0, str(ROOT / "cluster" / "lab"))

import slurm_lab  # noqa: E402


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Two nodes of two CPUs and two GPUs that are none. All that pytest makes below its own folder is on the shared file system."""
    if (reason := slurm_lab.missing()) is not None:
        pytest.skip(f"no Slurm lab here: {reason}")
    with tempfile.TemporaryDirectory(prefix="breakeven-lab-") as folder:  # pytest's own folders are closed to user munge
        os.chmod(folder, 0o755)
        lab = slurm_lab.SlurmLab(pathlib.Path(folder) / "lab")
        # A node that is silent for 5 s is down: the shortest that Slurm pings often enough for.
        lab.up(shared=[tmp_path_factory.getbasetemp(), BUILD.resolve()], slurmd_timeout=5)
        yield lab
        lab.down()
