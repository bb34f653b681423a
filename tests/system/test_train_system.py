"""Long runs are stopped, killed, moved and starved here; whatever happens, they end where an undisturbed run ends."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import time

import pytest
from conftest import BUILD, ROOT, environment, mpirun, run

FAULTY = BUILD / "breakeven_faulty"
STEPS = 12


def arguments(tiny, output, *settings):
    all_settings = [f"output={output}", f"max_steps={STEPS}", "checkpoint.every_steps=3", *settings]
    return ["train", tiny.train, *[part for setting in all_settings for part in ("--set", setting)]]


def train(tiny, output, *settings, ranks=2, fault=None):
    env = {"BREAKEVEN_FAULT": fault} if fault else None
    return run(*arguments(tiny, output, *settings), ranks=ranks, env=env, program=FAULTY if fault else None)


def checkpoints(output):
    return sorted(p.name for p in (output / "checkpoints").iterdir() if p.is_dir())


def trained_bytes(output, step=STEPS):
    folder = output / "checkpoints" / f"step_{step:06d}"
    return [(folder / name).read_bytes() for name in ("model.safetensors", "trainer_state/optimizer.safetensors")]


def losses(output):
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "step"]


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """The undisturbed run of two ranks."""
    output = tmp_path_factory.mktemp("whole") / "run"
    result = train(prepared, output)
    assert result.code == 0, result.err
    return output


def expect_the_same_end(output, whole):
    assert trained_bytes(output) == trained_bytes(whole)
    assert losses(output) == losses(whole)
    leftovers = [p.name for p in (output / "checkpoints").iterdir() if p.name.endswith(".tmp")]
    assert leftovers == []


def test_twice_the_same_command_is_bit_equal(prepared, whole, tmp_path):
    assert train(prepared, tmp_path / "run").code == 0
    expect_the_same_end(tmp_path / "run", whole)


@pytest.mark.parametrize(
    "fault, newest",
    [
        ("train.step@7:0=kill", "step_000006"),
        ("train.step@7:1=kill", "step_000006"),
        ("train.bucket@7:1=kill", "step_000006"),
        ("checkpoint.after_weights@6:0=kill", "step_000003"),
        ("checkpoint.before_manifest@6:0=kill", "step_000003"),
        ("checkpoint.before_rename@6:0=kill", "step_000003"),
        ("checkpoint.before_latest@6:0=kill", "step_000006"),
    ],
)
def test_killed_and_resumed_is_bit_equal(prepared, whole, tmp_path, fault, newest):
    output = tmp_path / "run"
    killed = train(prepared, output, fault=fault)
    assert killed.code == 137, killed.err
    resumed = train(prepared, output)
    assert resumed.code == 0, resumed.err
    assert f"checkpoints/{newest} at step" in resumed.err, resumed.err
    expect_the_same_end(output, whole)


class Job:
    """A running job whose rank 0 has stopped itself (SIGSTOP), a training before step 5."""

    def __init__(self, tiny, output, ranks=2, command=None, fault="train.step@5:0=stop"):
        env = {**environment(), "BREAKEVEN_FAULT": fault}
        command = [*mpirun(ranks), FAULTY, *(command or arguments(tiny, output))]
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stopped = self._wait_for_stopped_rank()

    def _children(self):
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    text = (entry / "stat").read_text()
                except OSError:
                    continue
                state, parent = text.rsplit(")", 1)[1].split()[:2]
                if int(parent) == self.process.pid:
                    yield int(entry.name), state

    def ranks(self):
        return [pid for pid, _ in self._children()]

    def _wait_for_stopped_rank(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for pid, state in self._children():
                if state == "T":
                    return pid
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)
        raise AssertionError("rank 0 did not reach its fault point")

    def finish(self):
        os.kill(self.stopped, signal.SIGCONT)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_signal_to_one_rank_saves_and_asks_for_a_requeue(prepared, whole, tmp_path, name):
    output = tmp_path / "run"
    job = Job(prepared, output)
    other = next(pid for pid in job.ranks() if pid != job.stopped)
    target = other if name == "SIGUSR1" else job.stopped
    os.kill(target, getattr(signal, name))
    code, err = job.finish()
    assert code == 75, err
    assert err.count("error:") == 1 and "Run the same command to go on" in err, err
    # The stopped rank has not yet said its part of step 6; the other may have, and then says it with step 7.
    agreed = ("step_000006",) if target == job.stopped else ("step_000006", "step_000007")
    assert checkpoints(output)[-1] in agreed, "saved at the end of the step that carries the flag"
    resumed = train(prepared, output)
    assert resumed.code == 0, resumed.err
    expect_the_same_end(output, whole)


def test_usr1_to_mpirun_reaches_the_ranks(prepared, whole, tmp_path):
    output = tmp_path / "run"
    job = Job(prepared, output)
    os.kill(job.process.pid, signal.SIGUSR1)
    time.sleep(0.3)  # until mpirun has passed it on
    code, err = job.finish()
    assert code == 75, err
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_while_prompts_are_scored(prepared, tmp_path, name):
    """To one rank of two, behind its first batch; the other learns of it where the scores meet."""
    command = ["eval", prepared.eval, "--set", f"output={tmp_path}/eval", "--set", "batch_tokens=100"]
    job = Job(prepared, None, command=command, fault="eval.stop_signal@2:0=stop")
    os.kill(job.stopped, getattr(signal, name))
    code, err = job.finish()
    assert code == 75, err
    assert err.count("error:") == 1 and f"stopped by {name} while prompts were scored" in err, err
    assert not (tmp_path / "eval" / "records.jsonl").exists()
    assert run(*command, ranks=2).code == 0
    assert (tmp_path / "eval" / "records.jsonl").exists()


def test_a_second_run_in_the_folder_is_refused_by_name(prepared, tmp_path):
    output = tmp_path / "run"
    job = Job(prepared, output)
    second = train(prepared, output)
    assert second.code == 73, second.err
    assert f"pid {job.stopped}" in second.err and len(second.messages()) == 1, second.err
    assert job.finish()[0] == 0
    assert train(prepared, output).code == 0


def test_nobody_trains_in_a_run_that_is_being_scored(own):
    extra = "prompt_eval: {task: task.yaml, prompts: variants.yaml, split: dev}\n"
    path = own.write("whole.yaml", own.train.read_text() + extra)
    job = Job(own, None, command=["train", path], fault="eval.stop_signal@1:0=stop")
    second = run("train", path, "--set", "max_steps=9")
    assert second.code == 73 and f"pid {job.stopped}" in second.err, second.err
    code, err = job.finish()
    assert code == 0, err
    done = run("train", path)
    assert done.code == 0 and "no step was left to do" in done.out and "nan" not in done.out, done.out


@pytest.mark.parametrize("ranks", [1, 3])
def test_other_numbers_of_ranks_learn_the_same(prepared, whole, tmp_path, ranks):
    output = tmp_path / "run"
    assert train(prepared, output, ranks=ranks).code == 0
    assert losses(output) == pytest.approx(losses(whole), abs=1e-5)


def test_resumed_on_other_ranks_and_warned(prepared, whole, tmp_path):
    output = tmp_path / "run"
    assert train(prepared, output, fault="train.step@7:0=kill").code == 137
    resumed = train(prepared, output, ranks=3)
    assert resumed.code == 0, resumed.err
    assert "world size 2, now it is 3" in resumed.err
    assert losses(output) == pytest.approx(losses(whole), abs=1e-5)


def test_no_space_left_keeps_the_former_checkpoint(prepared, whole, tmp_path):
    output = tmp_path / "run"
    assert train(prepared, output, fault="train.step@5:0=kill").code == 137
    full = train(prepared, output, fault="durable_file.write@6+:0=errno:ENOSPC")
    assert full.code == 74, full.err
    assert len(full.messages()) == 1 and "step_00000" in full.err, full.err
    assert checkpoints(output) == ["step_000003"]
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


def test_a_file_size_limit_is_a_full_disk_too(prepared, whole, tmp_path):
    """The real errno of a real call, without a fault point: EFBIG by RLIMIT_FSIZE, set when MPI has started."""
    output = tmp_path / "run"
    job = Job(prepared, output)
    for pid in job.ranks():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (64 << 10, resource.RLIM_INFINITY))
    code, err = job.finish()
    assert code == 74, err
    assert "model.safetensors" in err and err.count("error:") == 1, err
    assert checkpoints(output) == ["step_000003"]
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)



def test_damaged_newest_checkpoint_falls_back(prepared, whole, tmp_path):
    output = tmp_path / "run"
    assert train(prepared, output, "checkpoint.keep_last=9", fault="train.step@7:0=kill").code == 137
    weights = output / "checkpoints" / "step_000006" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    resumed = train(prepared, output, "checkpoint.keep_last=9")
    assert resumed.code == 0, resumed.err
    assert "step_000006/model.safetensors: content hash" in resumed.err
    assert "checkpoints/step_000003 at step 3" in resumed.err
    expect_the_same_end(output, whole)


def test_not_finite_on_one_rank_is_skipped_on_all(prepared, tmp_path):
    output = tmp_path / "run"
    result = train(prepared, output, fault="train.gradient@4:1=nan")
    assert result.code == 0, result.err
    assert "step 5: loss or gradient is not finite" in result.err
    state = json.loads((output / "checkpoints" / f"step_{STEPS:06d}" / "trainer_state/state.json").read_text())
    assert (state["step"], state["num_updates"], state["skipped_steps"]) == (STEPS, STEPS - 1, 1)
    result = train(prepared, tmp_path / "bad", "max_nonfinite_steps=3", fault="train.gradient@4+:1=nan")
    assert result.code == 70, result.err
    assert "3 steps in a row" in result.err and checkpoints(tmp_path / "bad")[-1] == "step_000006"


def test_other_template_or_tokenizer_on_resume(own, tmp_path):
    output = tmp_path / "run"
    assert train(own, output, ranks=1, fault="train.step@7=kill").code == 137
    text = own.prepare.read_text()
    own.prepare.write_text(text.replace("name: plain", "name: plain, target_delimiter: \"  \""))
    assert run("prepare", own.prepare).code == 0
    result = train(own, output, ranks=2)
    assert result.code == 65, result.err
    assert len(result.messages()) == 1 and "template" in result.err and "now it is" in result.err
    vocabulary = own / "scratch" / "tokenizer.json"
    tokenizer = json.loads(vocabulary.read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-1]
    vocabulary.write_text(json.dumps(tokenizer))
    result = train(own, tmp_path / "other", ranks=2)
    assert result.code == 65, result.err
    assert len(result.messages()) == 1 and "tokenizer" in result.err


def test_output_that_cannot_be_made(prepared, tmp_path):
    (tmp_path / "file").write_text("x")
    result = train(prepared, tmp_path / "file")
    assert result.code == 73, result.err
    assert len(result.messages()) == 1
