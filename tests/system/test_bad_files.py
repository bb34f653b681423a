"""Data, datasets and models that are not what they must be."""

import json
import shutil
import struct

import pytest
from program import run
from tiny import TINY_LLAMA

from test_command_line import expect_error


def no_output(tiny):
    folder = tiny / "tokens"
    return not folder.exists() or not [p for p in folder.iterdir()]


# ---- raw data


def test_a_missing_field_has_its_line(tiny):
    lines = (tiny / "train.jsonl").read_text().splitlines()
    lines[30] = lines[30].replace('"thing"', '"thnig"')
    (tiny / "train.jsonl").write_text("\n".join(lines) + "\n")
    expect_error(run("prepare", tiny.prepare), 65, "train.jsonl", "31", "thing")
    assert no_output(tiny)


def test_broken_json_has_its_line(tiny):
    with (tiny / "dev.jsonl").open("a") as file:
        file.write('{"id": "x", "thing": \n')
    expect_error(run("prepare", tiny.prepare), 65, "dev.jsonl", "18")
    assert no_output(tiny)


def test_invalid_utf8_has_its_line(tiny):
    data = (tiny / "train.jsonl").read_bytes().splitlines(keepends=True)
    data[4] = data[4].replace(b"number", b"n\xffmber")
    (tiny / "train.jsonl").write_bytes(b"".join(data))
    expect_error(run("prepare", tiny.prepare), 65, "train.jsonl", "5", "UTF-8")
    assert no_output(tiny)


def test_a_target_that_is_no_choice(tiny):
    with (tiny / "dev.jsonl").open("a") as file:
        file.write(json.dumps({"id": "x", "thing": "void", "colour": "black"}) + "\n")
    expect_error(run("prepare", tiny.prepare), 65, "black")
    assert no_output(tiny)


def test_a_template_error_has_line_and_column(tiny):
    text = (tiny / "task.yaml").read_text().replace("{{ thing }}", "{{ thing | tirm }}")
    tiny.write("task.yaml", text)
    expect_error(run("prepare", tiny.prepare), 64, "tirm", "trim")


def test_output_that_cannot_be_created(tiny):
    (tiny / "file").write_text("")
    expect_error(run("prepare", tiny.prepare, "--set", f"output={tiny.folder}/file/tokens"), 73, "file/tokens")


def test_prepare_gives_the_same_bytes_for_any_number_of_threads(tiny):
    for threads in (1, 4):
        result = run("prepare", tiny.prepare, "--json", "--set", f"threads={threads}", "--set", f"output={tiny.folder}/t{threads}")
        assert result.code == 0, result.err
        assert result.json()["splits"]["train"]["examples"] == 48
    for name in ("train.h5", "dev.h5"):
        assert (tiny / "t1" / name).read_bytes() == (tiny / "t4" / name).read_bytes()


def test_prepare_under_mpirun_is_done_by_rank_0(tiny):
    result = run("prepare", tiny.prepare, ranks=3)
    assert result.code == 0, result.err
    assert result.out.count("| train |") == 1


# ---- datasets


def damage(path, offset, byte=None):
    data = bytearray(path.read_bytes())
    data[offset] = data[offset] ^ 0x40 if byte is None else byte
    path.write_bytes(bytes(data))


def test_a_truncated_dataset(own):
    path = own / "tokens" / "train.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    expect_error(run("train", own.train), 65, "train.h5")


def test_a_file_that_is_no_dataset(own):
    (own / "tokens" / "train.h5").write_text("not HDF5")
    expect_error(run("train", own.train), 65, "train.h5")


def test_a_bit_flip_in_the_tokens(own):
    import h5py

    path = own / "tokens" / "train.h5"
    with h5py.File(path) as file:
        offset = file["tokens"].id.get_offset()
    damage(path, offset + 10)
    expect_error(run("inspect", path, "--verify"), 65, "train.h5")
    expect_error(run("train", own.train, ranks=2), 65, "train.h5")
    assert not list((own / "run").rglob("model.safetensors"))


def test_another_format_number(own):
    import h5py

    path = own / "tokens" / "train.h5"
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = type(file.attrs["format"])(99)
    expect_error(run("train", own.train), 65, "train.h5", "99")


def test_another_tokenizer_than_the_models(own):
    path = own / "scratch" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["merges"].pop()
    path.write_text(json.dumps(tokenizer))
    expect_error(run("train", own.train), 65, "fingerprint", "train.h5")


# ---- models


def weights(own):
    return own / "model" / "model.safetensors"


def rewrite(path, change):
    """Reads a safetensors file, lets `change` edit the dict of arrays, writes it again."""
    from safetensors.numpy import load_file, save_file

    tensors = dict(load_file(path))
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def without_manifest(own):
    """As a model of somebody else's, which has no hashes to fail first."""
    (own / "model" / "manifest.json").unlink()


def test_missing_extra_and_misshapen_tensors(own):
    import numpy

    without_manifest(own)

    def change(tensors):
        tensors["model.layers.0.mlp.up_proj.weird"] = numpy.zeros(3, numpy.float32)
        tensors["model.layers.1.mlp.up_proj.weight"] = numpy.zeros((64, 31), numpy.float32)
        del tensors["model.norm.weight"]

    rewrite(weights(own), change)
    train = ["train", own.train, "--set", "model.config=", "--set", f"model.path={own.folder}/model"]
    for command in (["eval", own.eval], ["eval", own.eval, "--dry-run"], train, [*train, "--dry-run"]):
        expect_error(
            run(*command, ranks=2),
            65,
            "model.norm.weight",
            "model.layers.0.mlp.up_proj.weird",
            "model.layers.1.mlp.up_proj.weight",
            "[64, 31]",
            "[64, 32]",
        )


def header_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


@pytest.mark.parametrize(
    "kind",
    ["absurd length", "no json", "out of file", "overlap", "absurd shape", "truncated", "empty"],
)
def test_damaged_safetensors(own, kind):
    without_manifest(own)
    path = weights(own)
    header, body = header_of(path)
    names = [name for name in header if name != "__metadata__"]
    if kind == "absurd length":
        path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    elif kind == "no json":
        path.write_bytes(struct.pack("<Q", 8) + b"{broken}" + body)
    elif kind == "out of file":
        header[names[-1]]["data_offsets"][1] += 1 << 40
        with_header(path, header, body)
    elif kind == "overlap":
        header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]
        with_header(path, header, body)
    elif kind == "absurd shape":
        header[names[0]]["shape"] = [1 << 40, 1 << 40]
        with_header(path, header, body)
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_bytes(b"")
    expect_error(run("eval", own.eval), 65, "model.safetensors")


@pytest.mark.parametrize(
    "key, value, named",
    [
        ("model_type", "mamba", "mamba"),
        ("hidden_act", "relu6", "relu6"),
        ("num_attention_heads", 5, "5"),
        ("rope_scaling", {"rope_type": "yarn", "factor": 2.0}, "yarn"),
    ],
)
def test_unsupported_model_configs_are_named(own, key, value, named):
    without_manifest(own)
    (own / "model" / "config.json").write_text(json.dumps({**TINY_LLAMA, key: value}))
    expect_error(run("eval", own.eval), 65, "config.json", named)


def test_a_damaged_checkpoint_is_found_by_inspect(own):
    assert run("inspect", own / "model", "--verify").code == 0
    damage(weights(own), weights(own).stat().st_size - 5)
    expect_error(run("inspect", own / "model", "--verify"), 65, "model.safetensors")


def test_token_ids_beyond_the_models_vocabulary(own):
    config = {**TINY_LLAMA, "vocab_size": 300}
    (own / "scratch" / "config.json").write_text(json.dumps(config))
    expect_error(run("train", own.train), 65, "300")


def test_shots_never_come_from_the_scored_split(prepared):
    result = run("eval", prepared.eval, "--set", "prompts.variants.2.fewshot_split=dev")
    expect_error(result, 64, "fewshot_split", "dev")


def test_inspect_of_nothing(tmp_path):
    expect_error(run("inspect", tmp_path / "absent"), 65, "absent")
    (tmp_path / "empty").mkdir()
    expect_error(run("inspect", tmp_path / "empty"), 64, "neither")
    shutil.copy(__file__, tmp_path / "file.py")
    expect_error(run("inspect", tmp_path / "file.py"), 64, "expected a dataset")
