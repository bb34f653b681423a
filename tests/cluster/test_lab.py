"""cluster/lab: nodes that are apart, come up, crash and go without a trace."""

import os
import pathlib
import subprocess
import sys

import pytest
import slurm_lab
from program import ROOT, until

LAB = ROOT / "cluster" / "lab" / "lab"


def lab_command(*words, **options):
    return subprocess.run([sys.executable, str(LAB), *map(str, words)], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def folder():
    """A place that user munge can enter, unlike pytest's own."""
    path = pathlib.Path(subprocess.check_output(["mktemp", "-d", "/tmp/breakeven-lab-XXXXXX"], text=True).strip())
    path.chmod(0o755)
    yield path
    lab_command("--folder", path / "lab", "down")
    path.rmdir()


def test_nodes_have_names_networks_and_temporary_files_of_their_own(lab):
    for node in lab.nodes:
        assert lab.run(node, "hostname").stdout == f"{node}\n"
        lab.run(node, "bash", "-c", f"echo {node} > /tmp/only; echo {node} > /dev/shm/only")
        other = next(name for name in lab.nodes if name != node)
        assert lab.run(node, "getent", "hosts", other).returncode == 0
    for node in lab.nodes:
        assert lab.run(node, "cat", "/tmp/only", "/dev/shm/only").stdout == f"{node}\n{node}\n"
        assert len(lab.run(node, "ip", "-4", "-brief", "address", "show", "e0").stdout.split()) == 3
    assert not pathlib.Path("/tmp/only").exists() and not pathlib.Path("/dev/shm/only").exists()


def test_fake_gpus_are_dealt_by_slurm(lab):
    done = lab.client("srun", "-N1", "-n2", "--gpus-per-task=1", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert sorted(done.stdout.split()) == ["0", "1"], done.stderr
    refused = lab.client("srun", "-N1", "-n1", "--gres=gpu:3", "true")
    assert refused.returncode != 0 and "not available" in refused.stderr


def test_a_crashed_node_is_silent_and_comes_back_empty(lab):
    lab.run("n2", "touch", "/tmp/before")
    pid = lab.pid("n2")
    lab.crash("n2")
    assert slurm_lab.start_ticks(pid) is None
    with pytest.raises(slurm_lab.LabError, match="node n2 is down"):
        lab.run("n2", "true")
    until("Slurm to see it", lambda: "down" in lab.client("sinfo", "-h", "-N", "-n", "n2", "-o", "%T").stdout)
    lab.boot("n2")
    lab.wait_until_idle()
    assert lab.run("n2", "ls", "/tmp/before").returncode != 0
    assert lab.client("srun", "-N2", "hostname").returncode == 0


def test_a_second_lab_comes_and_goes_beside_the_first(lab, folder):
    name = folder / "lab"
    up = lab_command("--folder", name, "up", "--nodes", 3)
    assert up.returncode == 0, up.stderr
    second = slurm_lab.SlurmLab(name)
    processes = {n: second.pid(n) for n in ("munged", "slurmctld", "n1", "n2", "n3")}
    assert sorted(lab_command("--folder", name, "run", "srun", "-N3", "hostname").stdout.split()) == ["n1", "n2", "n3"]
    again = lab_command("--folder", name, "up", "--nodes", 3)
    assert again.returncode == 0, again.stderr
    assert {n: slurm_lab.SlurmLab(name).pid(n) for n in processes} == processes, "up again changes nothing"
    assert lab.client("sinfo", "-h", "-o", "%D").stdout.split()[0] == "2", "the first lab has its own nodes"
    for _ in range(2):
        down = lab_command("--folder", name, "down")
        assert down.returncode == 0, down.stderr
    assert not name.exists() and list(folder.iterdir()) == []
    assert [n for n, pid in processes.items() if slurm_lab.start_ticks(pid) is not None] == []
    assert second.tag not in subprocess.check_output(["ip", "netns"], text=True)
    assert list(pathlib.Path("/etc/netns").glob(f"{second.tag}*")) == []
    assert lab.client("srun", "-N2", "hostname").returncode == 0


def test_folders_of_others_are_left_alone(lab, folder):
    (folder / "lab").mkdir()
    (folder / "lab" / "thesis.tex").touch()
    for command in ("up", "down"):
        done = lab_command("--folder", folder / "lab", command)
        assert done.returncode == 70 and "no lab's" in done.stderr, done.stderr
    (folder / "lab" / "thesis.tex").unlink()
    (folder / "lab").rmdir()
    (folder / ".lab.lock").unlink(missing_ok=True)


def test_what_is_missing_is_said(tmp_path):
    """An empty PATH has none of the programs."""
    done = lab_command("up", env={"PATH": str(tmp_path)})
    assert done.returncode == 78
    assert "no program slurmctld" in done.stderr and "apt-get install" in done.stderr and " slurmd" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_without_rights_it_refuses(lab):
    import shutil

    done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, str(LAB), "check"],
                          capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/"})  # fmt: skip
    if "Permission denied" in done.stderr:
        pytest.skip(f"nobody cannot read {ROOT}")
    assert shutil.which("slurmctld") and done.returncode == 78 and "need root" in done.stderr, done.stderr
