"""Files that are not what they must be: refused before the first step, or passed over for an older whole one; never trained on."""

import concurrent.futures
import json
import os
import random
import re
import shutil

import pytest
from program import run
from tiny import TINY_LLAMA
from training_runs import acknowledged, checkpoints, expect_the_same_end, resumed_step, train


def dataset(own):
    return own / "tokens" / "train.h5"


def expect_refused(result, *parts, code=65):
    assert result.code == code, (result.code, result.err)
    assert len(result.messages()) == 1, result.err
    for part in parts:
        assert part in result.messages()[0], (part, result.err)


@pytest.mark.fault(26)
def test_truncated_datasets(own):
    """At twenty lengths; once with two ranks, where all must end."""
    whole_file = dataset(own).read_bytes()
    size = len(whole_file)
    for cut in sorted({0, 1, 8, 511, size - 1, *random.Random(26).sample(range(size), 15)}):
        dataset(own).write_bytes(whole_file[:cut])
        result = run("train", own.train, "--dry-run")
        expect_refused(result, "train.h5")
        if cut > 2048:
            assert str(cut) in result.err and str(size) in result.err, (cut, size, result.err)
    expect_refused(train(own, own / "run"), "train.h5")
    assert checkpoints(own / "run") == []


@pytest.mark.fault(27)
@pytest.mark.parametrize("kind", ["a bit of the tokens", "a page of zeros", "a bit of the offsets"])
def test_damage_inside_a_dataset(own, kind):
    import h5py

    with h5py.File(dataset(own)) as file:
        tokens, offsets = file["tokens"].id.get_offset(), file["example_offsets"].id.get_offset()
    data = bytearray(dataset(own).read_bytes())
    if kind == "a page of zeros":
        data[tokens : tokens + 4096] = bytes(4096)
    else:
        data[(tokens if "tokens" in kind else offsets) + 33] ^= 4
    dataset(own).write_bytes(data)
    expect_refused(train(own, own / "run"), "train.h5")
    expect_refused(run("inspect", dataset(own), "--verify"), "train.h5")
    assert checkpoints(own / "run") == []


def replaced(path, name, make):
    """One dataset of the file, of another kind."""
    import h5py

    with h5py.File(path, "r+") as file:
        values = file[name][...]
        del file[name]
        make(file, values)


FOREIGN = {
    "float tokens": ("tokens", lambda file, v: file.create_dataset("tokens", data=v.astype("f4"))),
    "tokens in two dimensions": ("tokens", lambda file, v: file.create_dataset("tokens", data=v[: len(v) // 2 * 2].reshape(2, -1))),
    "no tokens": ("tokens", lambda file, v: file.create_dataset("tokens", data=v[:0])),
    "compressed tokens": ("tokens", lambda file, v: file.create_dataset("tokens", data=v, chunks=True, compression="gzip")),
    "tokens in another file": (
        "tokens",
        lambda file, v: file.create_dataset("tokens", shape=v.shape, dtype=v.dtype, external=[("/etc/passwd", 0, v.nbytes)]),
    ),
    "a link to another file": ("tokens", lambda file, _: file.__setitem__("tokens", __import__("h5py").ExternalLink("other.h5", "/tokens"))),
}  # fmt: skip


@pytest.mark.fault(28)
@pytest.mark.parametrize("kind", FOREIGN)
def test_datasets_of_another_kind(own, kind):
    name, make = FOREIGN[kind]
    replaced(dataset(own), name, make)
    expect_refused(run("train", own.train, "--dry-run"), "train.h5")


@pytest.mark.fault(28)
def test_tokens_beyond_the_vocabulary(own):
    (own / "scratch" / "config.json").write_text(json.dumps({**TINY_LLAMA, "vocab_size": 300}))
    expect_refused(train(own, own / "run"), "300")


@pytest.fixture
def three_checkpoints(prepared, tmp_path):
    """Of steps 3, 6 and 9; the run was killed in step 10."""
    output = tmp_path / "run"
    killed = train(prepared, output, "checkpoint.keep_last=9", "checkpoint.asynchronous=false", fault="train.step@9:0=kill")
    assert killed.code == 137 and acknowledged(killed.err) == 9, killed.err
    return output


def fall_back(prepared, output, whole, step, damaged):
    resumed = train(prepared, output, "checkpoint.keep_last=9")
    assert resumed.code == 0, resumed.err
    assert resumed_step(resumed.err) == step, resumed.err
    assert len(re.findall(r"damaged checkpoint passed over", resumed.err)) == damaged, resumed.err
    assert len(list((output / "checkpoints").glob("*.damaged"))) == damaged
    expect_the_same_end(output, whole)
    return resumed.err


def step(output, number):
    return output / "checkpoints" / f"step_{number:06d}"


def every_file(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.fault(29)
def test_any_flipped_byte_of_any_file_falls_back(prepared, whole, three_checkpoints):
    """Every file of the newest is damaged in turn and found; of the one before, one file."""
    newest = step(three_checkpoints, 9)
    chance = random.Random(29)
    for path in every_file(newest):
        data = path.read_bytes()
        for at in {0, len(data) - 1, chance.randrange(len(data))}:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
            result = run("inspect", newest, "--verify")
            if result.code == 0:  # a blank of manifest.json that is another blank now says the same
                assert path.name == "manifest.json" and data[at : at + 1].isspace(), (path, at)
            else:
                assert result.code == 65 and str(newest) in result.err, (path, at, result.err)
        path.write_bytes(data)
    for number in (9, 6):
        path = step(three_checkpoints, number) / "trainer_state" / "state.json"
        path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    err = fall_back(prepared, three_checkpoints, whole, 3, damaged=2)
    assert "step_000009/trainer_state/state.json: content hash" in err


def contents(folder):
    """What h5py and safetensors, which are not ours, read in a dataset or a checkpoint; JSON by Python's."""
    import h5py
    from safetensors import safe_open

    found = {}
    for path in every_file(folder):
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                file.visititems(lambda name, item: found.update({name: item[()].tobytes()} if isinstance(item, h5py.Dataset) else {}))
                found.update({f"@{key}": str(value) for key, value in file.attrs.items()})
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as file:
                found.update({f"{path.name}:{name}": file.get_tensor(name).tobytes() for name in file.keys()})
        else:
            found[path.name] = json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()
    return found


def flip_and_verify(folder, target, work, flips, seed):
    """Flips bits of a copy, one after the other. How many were refused; the others changed nothing that anyone reads."""
    original, chance, refused = contents(folder), random.Random(seed), 0
    for number in range(flips):
        copy = work / f"copy{number}"
        shutil.copytree(folder, copy)
        path = chance.choice(every_file(copy))
        data = bytearray(path.read_bytes())
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        data[at] ^= 1 << bit
        path.write_bytes(data)
        result = run("inspect", copy / target, "--verify")
        assert result.code in (0, 65), (path, result.code, result.err)
        if result.code == 65:
            refused += 1
        else:
            try:
                read = contents(copy)
            except Exception as error:  # noqa: BLE001: whatever the other reader throws, it could not read what we have accepted
                read = str(error)
            assert read == original, f"{path.name} with bit {bit} of byte {at} flipped was accepted: {read}"
        shutil.rmtree(copy)
    return refused


@pytest.mark.full
@pytest.mark.fault(27)
@pytest.mark.fault(29)
@pytest.mark.parametrize("kind, flips", [("dataset", 1000), ("checkpoint", 1000)])
def test_a_thousand_flips(own, three_checkpoints, tmp_path, kind, flips):
    """Any bit of any file: refused, or without a meaning (a blank of JSON, HDF5's own slack)."""
    folder, target = step(three_checkpoints, 9), ""
    if kind == "dataset":
        folder, target = tmp_path / "dataset", "train.h5"
        folder.mkdir()
        shutil.copy(dataset(own), folder)
    workers = os.cpu_count()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        works = [tmp_path / f"worker{n}" for n in range(workers)]
        shares = [flips // workers + (n < flips % workers) for n in range(workers)]
        refused = sum(pool.map(flip_and_verify, [folder] * workers, [target] * workers, works, shares, range(workers)))
    print(f"\n{flips} flips in a {kind}: {refused} refused, {flips - refused} without a meaning")
    assert refused > flips / 10  # most of a small HDF5 file is room between its parts


@pytest.mark.fault(29)
def test_no_whole_checkpoint_is_no_new_beginning(prepared, three_checkpoints):
    for number in (3, 6, 9):
        (step(three_checkpoints, number) / "model.safetensors").write_bytes(b"")
    expect_refused(train(prepared, three_checkpoints), "no checkpoint is whole")


@pytest.mark.fault(30)
@pytest.mark.parametrize("kind", ["no weights", "no part", "no manifest", "weights of another step", "another step's name"])
def test_a_mixed_up_checkpoint_falls_back(prepared, whole, three_checkpoints, kind):
    newest, before = step(three_checkpoints, 9), step(three_checkpoints, 6)
    if kind == "no weights":
        (newest / "model.safetensors").unlink()
    elif kind == "no part":
        (newest / "trainer_state" / "optimizer-00002-of-00002.safetensors").unlink()
    elif kind == "no manifest":
        (newest / "manifest.json").unlink()
    elif kind == "weights of another step":
        shutil.copy(before / "model.safetensors", newest)
    else:
        shutil.rmtree(newest)
        shutil.copytree(before, newest)
    fall_back(prepared, three_checkpoints, whole, 6, damaged=1)


@pytest.mark.fault(30)
def test_a_run_folder_copied_elsewhere_goes_on(prepared, whole, three_checkpoints, tmp_path):
    """As on another machine: another path, and the old one is gone."""
    elsewhere = tmp_path / "another machine" / "copy"
    elsewhere.parent.mkdir()
    shutil.copytree(three_checkpoints, elsewhere)
    shutil.rmtree(three_checkpoints)
    resumed = train(prepared, elsewhere)
    assert resumed.code == 0 and resumed_step(resumed.err) == 9, resumed.err
    expect_the_same_end(elsewhere, whole)
    for path in every_file(elsewhere / "checkpoints"):
        assert os.fsencode(three_checkpoints) not in path.read_bytes(), path
