"""Jobs that are started wrongly, twice, on unfit machines, or out of step with each other's clocks."""

import os
import re
import resource
import signal
import time

import pytest
from program import FAULTY, ROOT, execute, mpirun, run
from training_runs import Job, acknowledged, arguments, checkpoints, expect_the_same_end, train

BAD_YAML = {
    "a tab": ("seed: 3\n\tepochs: 2\n", r":2:\d+"),
    "an open list": ("batching: {global_batch: [1\n", r":\d+:\d+"),
    "an open quote": ('data: "x\n', r":\d+:\d+"),
    "a bad escape": ('data: "\\q"\n', r":1:\d+"),
    "two keys": ("seed: 1\nseed: 2\n", r":2:1"),
    "an unknown key": ("sead: 1\n", r":1:1.*Did you mean 'seed'"),
    "an unknown section": ("optimiser: {}\n", r":1:1.*Did you mean 'optimizer'"),
    "a wrong type": ("seed: three\n", r":1:7.*seed.*integer"),
    "out of range": ("seed: -1\n", r":1:7.*seed.*at least 0"),
    "too large": ("seed: 99999999999999999999\n", r":1:7.*seed"),
    "not a number": ("optimizer: {learning_rate: .nan}\n", r":1:\d+.*learning_rate"),
    "a list for a section": ("optimizer: [1, 2]\n", r":1:\d+.*optimizer"),
    "not a map": ("- 1\n- 2\n", r":1:1"),
    "two documents": ("seed: 1\n---\nseed: 2\n", r":\d+"),
    "an unknown anchor": ("seed: *x\n", r":1:\d+"),
    "a binary": ("\x00\x01\x02", r"bad.yaml"),
}


def expect_usage(result, pattern):
    assert result.code == 64, (result.code, result.err)
    assert len(result.messages()) == 1, result.err
    assert re.search(pattern, result.err), (pattern, result.err)
    assert "terminate called" not in result.err and "what()" not in result.err


@pytest.mark.fault(35)
@pytest.mark.parametrize("kind", BAD_YAML)
def test_bad_yaml(tiny, kind):
    text, place = BAD_YAML[kind]
    expect_usage(run("train", tiny.write("bad.yaml", text)), "bad.yaml.*" + place if place != "bad.yaml" else place)


@pytest.mark.fault(35)
def test_yaml_that_grows_without_end(tiny):
    """Aliases of aliases: nine lines that would be a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    begin = time.monotonic()
    result = run("train", tiny.write("bad.yaml", "\n".join(lines) + "\n"))
    assert result.code == 64, (result.code, result.err[:2000])
    assert time.monotonic() - begin < 10
    path = tiny.write("large.yaml", "seed: 1\n" + "# filler that says nothing, over and over\n" * (1 << 20))
    begin = time.monotonic()
    result = run("train", path)
    assert result.code == 64, (result.code, result.err[:2000])
    assert time.monotonic() - begin < 20


@pytest.mark.fault(35)
def test_bad_yaml_is_said_once_by_four_ranks(tiny):
    expect_usage(run("train", tiny.write("bad.yaml", "sead: 1\n"), ranks=4), "bad.yaml:1:1.*Did you mean 'seed'")


@pytest.mark.fault(36)
def test_a_second_run_in_the_folder_is_refused_by_name(prepared, tmp_path):
    output = tmp_path / "run"
    job = Job(prepared, output, env={"SLURM_JOB_ID": "4711"})
    second = train(prepared, output)
    assert second.code == 73, second.err
    assert f"pid {job.stopped}, job 4711" in second.err and len(second.messages()) == 1, second.err
    assert os.uname().nodename in second.err
    assert job.finish()[0] == 0
    assert train(prepared, output).code == 0


@pytest.mark.fault(36)
def test_the_lock_of_a_killed_run_is_taken_over(prepared, whole, tmp_path):
    output = tmp_path / "run"
    job = Job(prepared, output)
    for pid in job.ranks():
        os.kill(pid, signal.SIGKILL)
    job.process.communicate(timeout=60)
    assert (output / "lock").read_text() != ""
    resumed = train(prepared, output)
    assert resumed.code == 0, resumed.err
    expect_the_same_end(output, whole)


FAKETIME = next(
    (path for path in (f"/usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketime.so.1",) if os.path.exists(path)), None
)


@pytest.mark.fault(37)
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime (Debian package faketime)")
@pytest.mark.parametrize("offset", ["+3600s", "-3600s"])
@pytest.mark.parametrize("rank", [0, 1])
def test_clocks_an_hour_apart(prepared, whole, tmp_path, offset, rank):
    output = tmp_path / "run"
    shell = (f'[ "$OMPI_COMM_WORLD_RANK" = {rank} ] && export LD_PRELOAD={FAKETIME} FAKETIME="{offset}" '
             f'FAKETIME_DONT_FAKE_MONOTONIC=1; exec "$@"')  # fmt: skip
    settings = ["checkpoint.every_minutes=30", "watchdog.step_seconds=30"]
    command = [*mpirun(2), "bash", "-c", shell, "rank", FAULTY, *arguments(prepared, output, *settings)]
    result = execute(command, 60, ROOT)
    assert result.code == 0, result.err
    expect_the_same_end(output, whole)
    assert acknowledged(result.err) == 12 and result.err.count("saved checkpoints/") == 4, "decided by steps, not by clocks"


@pytest.mark.fault(37)
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime (Debian package faketime)")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_clock_that_is_set_back_during_the_run(prepared, whole, tmp_path, rank):
    """By two hours, before step 5: read from a file at every look at the clock."""
    output, clock = tmp_path / "run", tmp_path / "clock"
    clock.write_text("+0s\n")
    shell = (f'[ "$OMPI_COMM_WORLD_RANK" = {rank} ] && export LD_PRELOAD={FAKETIME} FAKETIME_TIMESTAMP_FILE={clock} '
             f'FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1; exec "$@"')  # fmt: skip
    settings = ["checkpoint.every_minutes=30", "watchdog.step_seconds=30"]
    words = [*mpirun(2), "bash", "-c", shell, "rank", FAULTY, *arguments(prepared, output, *settings)]
    job = Job(prepared, None, words=words, fault=f"train.step@5:{rank}=stop")
    clock.write_text("-7200s\n")
    code, err = job.finish()
    assert code == 0, err
    expect_the_same_end(output, whole)
    assert acknowledged(err) == 12 and err.count("saved checkpoints/") == 4, "decided by steps, not by clocks"
    if rank == 0:  # which writes the log
        log = re.findall(r"^(\d{4}-\S+) (.*)", (output / "log.txt").read_text(), re.MULTILINE)
        assert log[-1][0] < log[0][0], "the clock did go back"
        steps = [int(found) for _, text in log for found in re.findall(r"^step (\d+)/", text)]
        assert steps == list(range(1, 13)), "and the log is in the order of steps"


@pytest.mark.fault(38)
@pytest.mark.parametrize("ranks", [0, 2])
def test_gpus_that_are_not_there(prepared, tmp_path, ranks):
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    result = train(prepared, tmp_path / "run", "device=cuda", ranks=ranks, env=hidden)
    assert result.code == 78, result.err
    assert len(result.messages()) == 1 and "device: cpu" in result.err, result.err
    assert checkpoints(tmp_path / "run") == []
    assert train(prepared, tmp_path / "cpu", "device=cpu", "max_steps=2", ranks=ranks, env=hidden).code == 0


@pytest.mark.fault(39)
@pytest.mark.parametrize("promise", [{"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}, {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}])
def test_started_without_its_launcher(prepared, tmp_path, promise):
    """One process where the launcher promised four: N copies of the run would train beside each other."""
    result = execute([FAULTY, *arguments(prepared, tmp_path / "run")], 60, ROOT, env=promise)
    assert result.code == 64, result.err
    assert len(result.messages()) == 1 and "4" in result.err, result.err
    assert re.search(r"mpirun|srun", result.messages()[0]), result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.fault(40)
def test_a_rank_without_memory(prepared, whole, tmp_path):
    """Rank 1 may not have a byte more than when its first step begins, behind a resume. Its watchdog is the first to
    want one: the step waits for it."""
    output = tmp_path / "run"
    assert train(prepared, output, fault="train.step@8:0=kill").code == 137
    before = checkpoints(output)[0]
    own = arguments(prepared, output, "optimizer.shard=false")
    words = [*mpirun(2)[:1], *mpirun(2)[3:], "-n", 1, FAULTY, *own, ":",
             "-n", 1, "bash", "-c", 'ulimit -v 8000000; exec "$@"', "rank", FAULTY, *own]  # fmt: skip
    job = Job(prepared, None, words=words, fault="train.step@3:1=stop,train.step@3:1=sleep:2500")
    with open(f"/proc/{job.stopped}/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.prlimit(job.stopped, resource.RLIMIT_AS, (size, size))
    code, err = job.finish()
    assert code == 78, (code, err)
    assert err.count("error: ") == 1 and "memory" in err, err
    for remedy in ("batching.micro_batch_tokens", "activation_checkpointing", "optimizer.shard"):
        assert remedy in err, err
    assert checkpoints(output)[0] == before, "no partial checkpoint"
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)
