"""Our HDF5 token datasets beside h5py: what we write reads as README.md of data_pipeline/ says, and what h5py writes by that
page we read. The content hash is recomputed here with the xxhash package from the page's description alone.

BREAKEVEN_BUILD names the build folder (default build/release).
"""

import json
import random
import struct
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import BUILD

try:
    import xxhash
except ImportError:  # lm-eval brings it along; without it the hashes are not recomputed
    xxhash = None

TOOL = BUILD / "tests" / "dataset_tool"

DATASETS = {"block_hashes": "<u8", "example_ids": "<u8", "example_offsets": "<u8", "groups": "<u8", "num_targets": "<u4",
            "target_span_offsets": "<u8", "target_spans": "<u4"}
needs_xxhash = pytest.mark.skipif(xxhash is None, reason="the xxhash package is not installed: hashes are not recomputed")
BLOCK_BYTES = 1 << 20


def ask(request):
    done = subprocess.run([TOOL], input=json.dumps(request) + "\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def make_examples(count, longest, vocabulary, seed=5):
    rng = random.Random(seed)
    examples = []
    for i in range(count):
        length = rng.randint(1, longest)
        begin = rng.randrange(length)
        targets = [[begin, rng.randint(begin + 1, length)]]
        if targets[0][1] + 1 < length:
            targets.append([targets[0][1] + 1, length])
        examples.append({"tokens": [rng.randrange(vocabulary) for _ in range(length)], "targets": targets, "id": i + 1,
                         "group": rng.getrandbits(64)})
    return examples


def make_info(vocabulary):
    return {"split": "train", "tokenizer_fingerprint": "0123456789abcdef", "template_fingerprint": "fedcba9876543210",
            "vocab_size": vocabulary, "config": '{"x":"프롬프트 {{y}}"}', "source_hashes": {"train/a.jsonl": "00"},
            "counts": {"documents": 9, "truncated": 1}}


def num_targets(example):
    return sum(end - max(begin, 1) for begin, end in example["targets"] if end > 1)


def field(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def content_hash(attributes, arrays, token_type, num_tokens):
    """README.md: attributes, then datasets, each in order of the name; every text with its length in front."""
    hasher = xxhash.xxh3_64()
    for name in sorted(attributes):
        hasher.update(field("attribute") + field(name) + field(attributes[name]))
    for name in sorted(list(arrays) + ["tokens"]):
        if name == "tokens":
            hasher.update(field("dataset") + field(name) + field(token_type) + field(str(num_tokens)) + field(b""))
            continue
        array = arrays[name]
        shape = ",".join(str(n) for n in array.shape)
        hasher.update(field("dataset") + field(name) + field(array.dtype.name) + field(shape) + field(array.tobytes()))
    return hasher.hexdigest()


def text_attributes(file):
    values = {}
    for name, value in file.attrs.items():
        values[name] = value.decode() if isinstance(value, bytes) else str(value)
    return values


@pytest.mark.parametrize("vocabulary,count", [(2, 5), (50257, 300), (65536, 20), (65537, 20), (128256, 2000)])
def test_h5py_reads_what_we_write(tmp_path, vocabulary, count):
    examples, info = make_examples(count, 400, vocabulary), make_info(vocabulary)
    answer = ask({"write": str(tmp_path), "name": "train", "info": info, "examples": examples})
    assert answer["path"] == str(tmp_path / "train.h5")
    with h5py.File(answer["path"], "r") as file:
        assert sorted(file.keys()) == sorted([*DATASETS, "tokens"])
        token_type = "<u2" if vocabulary <= 65536 else "<u4"
        for name, dtype in {**DATASETS, "tokens": token_type}.items():
            dataset = file[name]
            assert dataset.dtype == np.dtype(dtype) and dataset.chunks is None, name
            assert not dataset.external and dataset.compression is None, name
        assert file["tokens"].id.get_offset() % 4096 == 0
        tokens = np.concatenate([np.array(e["tokens"]) for e in examples])
        assert (file["tokens"][:] == tokens).all()
        lengths = [len(e["tokens"]) for e in examples]
        assert file["example_offsets"][:].tolist() == [0, *np.cumsum(lengths).tolist()]
        assert file["target_spans"][:].tolist() == [span for e in examples for span in e["targets"]]
        assert file["target_span_offsets"][:].tolist() == [0, *np.cumsum([len(e["targets"]) for e in examples]).tolist()]
        assert file["num_targets"][:].tolist() == [num_targets(e) for e in examples]
        assert file["example_ids"][:].tolist() == [e["id"] for e in examples]
        assert file["groups"][:].tolist() == [e["group"] for e in examples]
        attributes = text_attributes(file)
        assert file.attrs["format"] == 1 and file.attrs["format"].dtype == np.int64
        assert file.attrs["vocab_size"] == vocabulary
        for name in ("split", "tokenizer_fingerprint", "template_fingerprint", "config"):
            assert attributes[name] == info[name], name
        for name in ("source_hashes", "counts"):
            assert json.loads(attributes[name]) == info[name], name
        assert attributes["content_hash"] == answer["content_hash"]


@needs_xxhash
@pytest.mark.parametrize("vocabulary,count", [(50257, 3000), (128256, 2000)])  # several blocks
def test_hashes_are_what_the_page_says(tmp_path, vocabulary, count):
    answer = ask({"write": str(tmp_path), "name": "train", "info": make_info(vocabulary),
                  "examples": make_examples(count, 600, vocabulary)})
    with h5py.File(answer["path"], "r") as file:
        tokens = file["tokens"][:].tobytes()
        blocks = [xxhash.xxh3_64_intdigest(tokens[at:at + BLOCK_BYTES]) for at in range(0, len(tokens), BLOCK_BYTES)]
        assert len(blocks) > 1
        assert file["block_hashes"][:].tolist() == blocks
        attributes = text_attributes(file)
        stored = attributes.pop("content_hash")
        arrays = {name: file[name][:] for name in DATASETS}
        assert content_hash(attributes, arrays, file["tokens"].dtype.name, len(file["tokens"])) == stored


@needs_xxhash
def test_index_hash_and_member_hashes(tmp_path):
    answer = ask({"write": str(tmp_path), "name": "dev", "info": make_info(1000), "max_tokens_per_file": 3000,
                  "examples": make_examples(60, 200, 1000)})
    assert answer["path"] == str(tmp_path / "dev.index.json")
    text = Path(answer["path"]).read_bytes()
    index = json.loads(text)
    assert list(index)[-1] == "index_hash"
    covered = text[:text.rindex(b',\n  "index_hash"')]
    assert index["index_hash"] == xxhash.xxh3_64_hexdigest(covered) == answer["content_hash"]
    assert len(index["files"]) > 1
    for entry in index["files"]:
        with h5py.File(tmp_path / entry["name"], "r") as file:
            assert entry["content_hash"] == file.attrs["content_hash"].decode()
            assert entry["num_tokens"] == len(file["tokens"]) <= 3000
            assert entry["num_examples"] == len(file["num_targets"])
            assert entry["num_targets"] == file["num_targets"][:].sum()


def write_with_h5py(path, examples, info, change=lambda arrays, attributes: None):
    """A file of format 1 written from the page alone, with the properties that h5py chooses by itself."""
    token_type = np.dtype("<u2" if info["vocab_size"] <= 65536 else "<u4")
    tokens = np.concatenate([np.array(e["tokens"], dtype=token_type) for e in examples])
    data = tokens.tobytes()
    arrays = {
        "block_hashes": np.array([xxhash.xxh3_64_intdigest(data[at:at + BLOCK_BYTES])
                                  for at in range(0, len(data), BLOCK_BYTES)], dtype="<u8"),
        "example_ids": np.array([e["id"] for e in examples], dtype="<u8"),
        "example_offsets": np.array([0, *np.cumsum([len(e["tokens"]) for e in examples])], dtype="<u8"),
        "groups": np.array([e["group"] for e in examples], dtype="<u8"),
        "num_targets": np.array([num_targets(e) for e in examples], dtype="<u4"),
        "target_span_offsets": np.array([0, *np.cumsum([len(e["targets"]) for e in examples])], dtype="<u8"),
        "target_spans": np.array([span for e in examples for span in e["targets"]], dtype="<u4"),
    }
    attributes = {name: value if isinstance(value, str) else json.dumps(value) for name, value in info.items()}
    attributes["format"] = "1"
    change(arrays, attributes)
    attributes["content_hash"] = content_hash(attributes, arrays, token_type.name, len(tokens))
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
        file["tokens"] = tokens
        for name, value in attributes.items():
            file.attrs[name] = np.int64(value) if name in ("format", "vocab_size") else np.bytes_(value.encode())


@needs_xxhash
@pytest.mark.parametrize("mmap", [True, False])
def test_we_read_what_h5py_writes(tmp_path, mmap):
    examples, info = make_examples(200, 300, 50257), make_info(50257)
    path = tmp_path / "foreign.h5"
    write_with_h5py(path, examples, info)
    answer = ask({"read": str(path), "mmap": mmap})
    assert "error" not in answer, answer
    assert answer["examples"] == examples
    assert answer["info"] == info
    assert answer["num_targets"] == sum(num_targets(e) for e in examples)


# The hashes are right, the content is not: only a careful reader finds these.
FORGERIES = {
    "an offset beyond the tokens": lambda a, _: a["example_offsets"].__setitem__(3, 1 << 40),
    "offsets that fall": lambda a, _: a["example_offsets"].__setitem__(3, a["example_offsets"][2] - 1),
    "an example without tokens": lambda a, _: a["example_offsets"].__setitem__(3, a["example_offsets"][2]),
    "a span beyond its example": lambda a, _: a["target_spans"].__setitem__((0, 1), 100000),
    "a span that ends before it begins": lambda a, _: a["target_spans"].__setitem__((0, 0), a["target_spans"][0, 1] + 1),
    "a wrong count of targets": lambda a, _: a["num_targets"].__setitem__(4, 7777),
    "span offsets beyond the spans": lambda a, _: a["target_span_offsets"].__setitem__(2, 1 << 40),
    "a missing array element": lambda a, _: a.__setitem__("groups", a["groups"][:-1]),
    "another format": lambda _, t: t.__setitem__("format", "2"),
    "no vocabulary": lambda _, t: t.__setitem__("vocab_size", "0"),
    "counts that are no JSON": lambda _, t: t.__setitem__("counts", "{"),
}


@needs_xxhash
@pytest.mark.parametrize("name", FORGERIES)
def test_forged_files_are_refused(tmp_path, name):
    path = tmp_path / "forged.h5"
    write_with_h5py(path, make_examples(20, 50, 1000), make_info(1000), FORGERIES[name])
    answer = ask({"read": str(path)})
    assert answer.get("kind") == 65, answer
    assert "forged.h5" in answer["error"]


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["tokens"] = np.arange(100, dtype="<u2")
    answer = ask({"read": str(path)})
    assert answer["kind"] == 65 and "another kind" in answer["error"]


def test_empty_dataset_is_refused(tmp_path):
    answer = ask({"write": str(tmp_path), "name": "x", "info": make_info(10), "examples": []})
    assert answer["kind"] == 65 and "empty" in answer["error"]
    assert not list(tmp_path.iterdir())
