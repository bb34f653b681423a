"""A Slurm lab for the tests of cluster/, and tiny projects of tests/system to run on it."""

import importlib.util
import os
import pathlib
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "cluster" / "lab"))

import slurm_lab  # noqa: E402

# The system suite's helpers. Its file is a conftest too, so it is loaded under a name of its own.
_spec = importlib.util.spec_from_file_location("system_support", ROOT / "tests" / "system" / "conftest.py")
support = importlib.util.module_from_spec(_spec)
sys.modules["system_support"] = support
_spec.loader.exec_module(support)

program = support.program
prepared = support.prepared
own = support.own


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Two nodes of two CPUs and two GPUs that are none. All that pytest makes below its own folder is on the shared file system."""
    if (reason := slurm_lab.missing()) is not None:
        pytest.skip(f"no Slurm lab here: {reason}")
    with tempfile.TemporaryDirectory(prefix="breakeven-lab-") as folder:  # pytest's own folders are closed to user munge
        os.chmod(folder, 0o755)
        lab = slurm_lab.SlurmLab(pathlib.Path(folder) / "lab")
        # A node that is silent for 5 s is down: the shortest that Slurm pings often enough for.
        lab.up(shared=[tmp_path_factory.getbasetemp(), support.BUILD.resolve()], slurmd_timeout=5)
        yield lab
        lab.down()
