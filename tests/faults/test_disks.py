"""Disks that are full, broken, read-only, or lose their power."""

import ctypes
import fcntl
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import pytest
from program import FAULTY, ROOT, environment, execute, mpirun
from training_runs import Job, acknowledged, arguments, checkpoints, expect_the_same_end, resumed_step, train


def expect_former_checkpoint(prepared, output, whole, result, *parts):
    """Ended with 74 and one message on all ranks' behalf; nothing half-written stays; with space the run goes on."""
    assert result.code == 74, result.err
    assert len(result.messages()) == 1 and "/checkpoints" in result.messages()[0], result.err
    for part in parts:
        assert part in result.err, (part, result.err)
    assert checkpoints(output) == ["step_000003"]
    resumed = train(prepared, output)
    assert resumed.code == 0 and resumed_step(resumed.err) == 3, resumed.err
    expect_the_same_end(output, whole)


@pytest.fixture
def at_step_3(prepared, tmp_path):
    """A run that was killed with its checkpoint of step 3 saved."""
    output = tmp_path / "run"
    assert train(prepared, output, "checkpoint.asynchronous=false", fault="train.step@5:0=kill").code == 137
    assert checkpoints(output) == ["step_000003"]
    return output


@pytest.mark.parametrize(
    "fault, said",
    [
        pytest.param("durable_file.write@6+:0=errno:ENOSPC", "No space left", marks=pytest.mark.fault(22)),
        pytest.param("durable_file.write@0+:1=errno:EDQUOT", "quota", marks=pytest.mark.fault(22)),
        pytest.param("durable_file.write@7:0=errno:EIO", "Input/output error", marks=pytest.mark.fault(23)),
        pytest.param("durable_file.fsync@9+:0=errno:EIO", "fsync", marks=pytest.mark.fault(23)),
        pytest.param("durable_file.fsync@0+:1=errno:EIO", "fsync", marks=pytest.mark.fault(23)),
        pytest.param("durable_file.rename@6:0=errno:EIO", "renam", marks=pytest.mark.fault(23)),
    ],
)
def test_a_call_that_fails_while_saving(prepared, whole, at_step_3, fault, said):
    result = train(prepared, at_step_3, fault=fault)
    expect_former_checkpoint(prepared, at_step_3, whole, result, said)


@pytest.mark.fault(22)
def test_a_file_size_limit_is_a_full_disk_too(prepared, whole, tmp_path):
    """The real errno of a real call, without a fault point: EFBIG by RLIMIT_FSIZE, set when MPI has started."""
    output = tmp_path / "run"
    job = Job(prepared, output, fault="train.step@8:0=stop")
    for pid in job.ranks():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (64 << 10, resource.RLIM_INFINITY))
    code, err = job.finish()
    assert code == 74, err
    assert "safetensors" in err and "bytes needed" in err and err.count("error:") == 1, err
    saved = checkpoints(output)  # that of step 6 was on its way
    assert saved[0] == "step_000003" and saved[1:] in ([], ["step_000006"]) and acknowledged(err) <= 6, saved
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


def mounted(kind, image, folder, megabytes):
    """A file system of its own in a file; the mount command's words."""
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    # Root, who runs this, could use what ext4 keeps back for root, and is not told of it.
    options = ["-m", "0"] if kind == "ext4" else []
    subprocess.run([f"mkfs.{kind}", "-q", *options, image], check=True, capture_output=True)
    folder.mkdir()
    mount(image, folder)


def mount(image, folder, options="loop"):
    subprocess.run(["mount", "-o", options, image, folder], check=True, capture_output=True)


def umount(folder):
    deadline = time.monotonic() + 20
    while subprocess.run(["umount", folder], capture_output=True).returncode != 0:
        assert time.monotonic() < deadline, subprocess.run(["umount", folder], capture_output=True, text=True).stderr
        time.sleep(0.1)


def needs_mounts(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("loop mounts need root")
    probe = tmp_path / "probe"
    try:
        mounted("ext4", tmp_path / "probe.image", probe, 8)
        umount(probe)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no right to mount a file system in a file: {getattr(error, 'stderr', error)}")


@pytest.mark.fault(22)
@pytest.mark.full
def test_a_file_system_that_is_really_full(prepared, whole, tmp_path):
    needs_mounts(tmp_path)
    disk = tmp_path / "disk"
    mounted("ext4", tmp_path / "image", disk, 8)
    try:
        output = disk / "run"
        assert train(prepared, output, "checkpoint.asynchronous=false", fault="train.step@5:0=kill").code == 137
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(max(0, free - (150 << 10))))
        full = train(prepared, output)
        assert full.code == 74 and len(full.messages()) == 1, full.err
        assert re.search(r"\d+ bytes needed so far, \d+ bytes free there", full.err), full.err
        assert checkpoints(output) == ["step_000003"]
        (disk / "ballast").unlink()
        assert train(prepared, output).code == 0
        expect_the_same_end(output, whole)
    finally:
        umount(disk)


FS_IOC_GOINGDOWN = 0x8004587D  # _IOR('X', 125, uint32_t)
NOLOGFLUSH = 2  # only what has reached the disk by itself stays


def cut_power(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, FS_IOC_GOINGDOWN, ctypes.c_uint32(NOLOGFLUSH))
    finally:
        os.close(descriptor)


def mount_after_a_cut(kind, image, folder):
    """What is on the disk, as another disk: where a process with mounts of its own was started meanwhile, such as a node of a lab,
    the file system without power lives on there, and this one would be it."""
    copy = image.with_suffix(".copy")
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    mount(copy, folder, "loop,nouuid" if kind == "xfs" else "loop")
    for path in (image, copy):  # the mount holds it
        path.unlink()


def until_saved(number, output, prepared):
    """The power is cut when the log has acknowledged so many saves; what was said by then."""
    process = subprocess.Popen(
        [str(w) for w in [*mpirun(2), FAULTY, *arguments(prepared, output, "checkpoint.every_steps=1")]],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    said = ""
    for line in process.stderr:
        said += line
        if "saved checkpoints/" in line and acknowledged(said) >= number:
            break
    assert acknowledged(said) >= number, said
    cut_power(output.parent)
    process.communicate(timeout=60)
    return said


def until_fsync(number, output, prepared):
    """The power is cut before rank 0 asks for this fsync, the main thread and that which saves standing still; all that was said."""
    job = Job(prepared, output, "checkpoint.every_steps=1", fault=f"durable_file.fsync@{number}:0=stop")
    cut_power(output.parent)
    code, err = job.finish()
    assert code != 0, err
    return err


FSYNCS_OF_A_SAVE = 21  # by rank 0: files, folders, `latest`


@pytest.mark.fault(24)
@pytest.mark.full
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.parametrize("until, moments", [(until_saved, range(1, 11)), (until_fsync, range(100, 101 + FSYNCS_OF_A_SAVE, 2))])
def test_the_power_is_cut(prepared, whole, tmp_path, kind, until, moments):
    """Right behind saves, and at moments spread over one: what the log called saved before is there afterwards, whole."""
    needs_mounts(tmp_path)
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"no program mkfs.{kind}")
    megabytes = {"ext4": 64, "xfs": 320}[kind]
    saves = []  # the how many-th it went on from: a save that is due while the one before is being written is left out
    for number in moments:
        disk, image = tmp_path / f"disk{number}", tmp_path / f"image{number}"
        mounted(kind, image, disk, megabytes)
        try:
            output = disk / "run"
            said = until(number, output, prepared)
            umount(disk)
            mount_after_a_cut(kind, image, disk)
            resumed = train(prepared, output)
            assert resumed.code == 0, resumed.err
            assert resumed_step(resumed.err) >= acknowledged(said) >= 1, (number, said, resumed.err)
            saves.append(said.count("saved checkpoints/") + (resumed_step(resumed.err) > acknowledged(said)))
            expect_the_same_end(output, whole)
        finally:
            umount(disk)
    print(f"\n{kind}, cut {until.__name__} {list(moments)}: went on from saves {saves}")
    assert until is until_saved or saves == sorted(saves) and saves[-1] == saves[0] + 1, f"not over one save: {saves}"


def unprivileged(tmp_path):
    """A user whom a mode can stop: nobody, where we are root."""
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.mark.fault(25)
@pytest.mark.parametrize("kind", ["a file", "below a file", "read-only"])
def test_output_that_cannot_be_made(prepared, tmp_path, kind):
    output = tmp_path / "out"
    prefix = []
    if kind == "read-only":
        prefix = unprivileged(tmp_path)
        for path in [prepared.folder, *prepared.folder.rglob("*")]:
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        for folder in prepared.folder.parents:
            if folder.stat().st_uid == os.geteuid() and str(folder).startswith(str(tmp_path.parent.parent)):
                folder.chmod(folder.stat().st_mode | 0o055)
        output.mkdir(mode=0o555)
        output = output / "run"
    else:
        output.write_text("x")
        if kind == "below a file":
            output = output / "run"
    begin = time.monotonic()
    result = execute([*prefix, *mpirun(2), FAULTY, *arguments(prepared, output)], 60, ROOT)
    assert result.code == 73, result.err
    assert len(result.messages()) == 1 and str(output) in result.messages()[0], result.err
    assert "step 1" not in result.err and time.monotonic() - begin < 10
