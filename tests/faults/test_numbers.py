"""What is wrong with numbers, and what may differ between a run and its resume."""

import json
import re

import pytest
from program import run
from training_runs import STEPS, checkpoints, losses, train


def state_of(output, step=STEPS):
    return json.loads((output / "checkpoints" / f"step_{step:06d}" / "trainer_state" / "state.json").read_text())


@pytest.mark.fault(31)
@pytest.mark.parametrize("shard", ["false", "true"])
def test_not_finite_on_one_rank_is_skipped_on_all(prepared, tmp_path, shard):
    output = tmp_path / "run"
    settings = [f"optimizer.shard={shard}", "check_replicas_every_steps=1"]
    result = train(prepared, output, *settings, fault="train.gradient@4:1=nan")
    assert result.code == 0, result.err
    assert "step 5: loss or gradient is not finite" in result.err
    state = state_of(output)
    assert (state["step"], state["num_updates"], state["skipped_steps"]) == (STEPS, STEPS - 1, 1)
    assert all(loss == loss for loss in losses(output)[5:]), "weights stay finite"


@pytest.mark.fault(31)
def test_not_finite_for_too_long_ends_the_run(prepared, tmp_path):
    output = tmp_path / "bad"
    result = train(prepared, output, "max_nonfinite_steps=3", fault="train.gradient@4+:1=nan")
    assert result.code == 70, result.err
    assert len(result.messages()) == 1 and "3 steps in a row" in result.err, result.err
    assert "the checkpoint of step 6 is kept" in result.err and checkpoints(output)[-1] == "step_000006"


@pytest.mark.fault(32)
def test_one_flipped_weight_in_one_rank(prepared, tmp_path):
    output = tmp_path / "run"
    settings = ["optimizer.shard=false", "check_replicas_every_steps=2"]  # weights of its own for each rank
    result = train(prepared, output, *settings, ranks=3, fault="train.weight_flip@7:2=errno:EIO")
    assert result.code == 70, result.err
    assert len(result.messages()) == 1, result.err
    assert re.search(r'hash of all weights at step 8.*rank 0 has "\w+", rank 2 has "\w+"', result.err), result.err
    assert checkpoints(output)[-1] == "step_000006", "nothing wrong is saved"


@pytest.mark.fault(33)
@pytest.mark.parametrize("first, then", [(2, 1), (2, 4), (1, 3)])
def test_resumed_on_another_number_of_ranks(prepared, whole, tmp_path, first, then):
    """The design takes it with a warning: the same examples in every step, equal to rounding."""
    output = tmp_path / "run"
    assert train(prepared, output, ranks=first, fault="train.step@7:0=kill").code == 137
    resumed = train(prepared, output, ranks=then)
    assert resumed.code == 0, resumed.err
    assert f"world size {first}, now it is {then}" in resumed.err
    assert losses(output) == pytest.approx(losses(whole), abs=1e-5)


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    "setting, code, said",
    [
        ("seed=4", 64, "seed 3, now it is 4"),
        ("batching.global_batch.examples=4", 64, "global_batch"),
        ("data={own}/tokens/dev.h5", 65, "dataset"),
        ("model.config={own}/other.json", 65, "rope_theta is 10000.0, now it is 20000.0"),
        ("optimizer.learning_rate=1e-3", 0, "learning_rate"),
    ],
)
def test_another_config_on_resume(own, tmp_path, setting, code, said):
    output = tmp_path / "run"
    assert train(own, output, fault="train.step@7:0=kill").code == 137
    config = json.loads((own / "scratch" / "config.json").read_text())
    own.write("other.json", json.dumps({**config, "rope_theta": 20000.0}))
    result = train(own, output, setting.format(own=own.folder))
    assert result.code == code, result.err
    if code == 0:
        assert "config" in result.err and "warning" in result.err, result.err
        return
    assert len(result.messages()) == 1 and said in result.err, result.err
    assert train(own, output).code == 0, "a refused resume changes nothing"


@pytest.mark.fault(34)
def test_another_template_or_tokenizer_on_resume(own, tmp_path):
    output = tmp_path / "run"
    assert train(own, output, ranks=1, fault="train.step@7=kill").code == 137
    text = own.prepare.read_text()
    own.prepare.write_text(text.replace("name: plain", 'name: plain, target_delimiter: "  "'))
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
