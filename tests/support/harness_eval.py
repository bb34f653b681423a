"""One evaluation asked of lm-evaluation-harness and of `breakeven eval`: the same documents, task and model (SmolLM2, float32).

Needs the built program (BREAKEVEN_BUILD, default build/release) and models/SmolLM2-135M-Instruct.
"""

import json
import math
import os
import random

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets  # noqa: E402
import lm_eval  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from program import BREAKEVEN as PROGRAM, BUILD, FULL, ROOT, run  # noqa: E402

SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"
DEVICE = os.environ.get("BREAKEVEN_DEVICE", "cpu")  # ours; the reference computes on the CPU always
DOCUMENTS = 200 if FULL else 20
TOLERANCE = 1e-3

THINGS = {
    "an animal": "heron otter lynx 두루미 walrus beetle gecko toucan".split(),
    "a food": "lentils brioche 김치 couscous marmalade gnocchi pierogi jalapeño".split(),
    "a tool": "chisel spanner hacksaw trowel calliper mallet awl plane".split(),
    "a place": "harbour monastery Zürich orchard 서울 lighthouse canyon market".split(),
}
REMARKS = [
    "I saw it yesterday",
    "nobody had expected that",
    "it costs 12.50 in town",
    "she wrote “finally” 🙂 under the picture",
    "they   have kept it since 1987",
]


def make_documents(count, seed):
    """Questions whose four choices have several tokens and different lengths, some not ASCII."""
    draw = random.Random(seed)
    kinds = list(THINGS)
    documents = []
    for i in range(count):
        kind = draw.choice(kinds)
        options = [draw.choice(THINGS[k]) for k in kinds]
        draw.shuffle(options)
        right = next(n for n, option in enumerate(options) if option in THINGS[kind])
        remark = draw.choice(REMARKS)
        documents.append(
            {
                "id": f"{seed}-{i}",
                "question": f"Number {draw.randrange(1000)}: {remark}. Which one is {kind}?",
                "a": options[0],
                "b": options[1],
                "c": options[2],
                "d": options[3],
                "choices": [
                    f"{option}, {draw.choice(['which is', 'and this is'])} {kind}" for option in options
                ],
                "label": right,
                "text": " ".join(f"{draw.choice(REMARKS)}, said {option}." for option in options * 3),
            }
        )
    return documents


class Data:
    def __init__(self, folder):
        self.splits = {"train": make_documents(30, 1), "test": make_documents(DOCUMENTS, 2)}
        self.paths = {}
        for split, documents in self.splits.items():
            path = folder / f"{split}.jsonl"
            path.write_text(
                "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents), encoding="utf-8"
            )
            self.paths[split] = str(path)

    def as_datasets(self, **_):
        return {name: datasets.Dataset.from_list(rows) for name, rows in self.splits.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return Data(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def harness():
    if not SMOLLM2.exists():
        pytest.skip(f"{SMOLLM2} is missing: ./launch/quickstart.sh --only data makes it")
    return HFLM(
        pretrained=str(SMOLLM2), dtype="float32", device="cpu", batch_size=4, logits_cache=False
    )


def run_harness(model, data, task, num_fewshot=0, sampler="first_n", limit=None, **how):
    config = {
        "task": "parity",
        "custom_dataset": data.as_datasets,
        "training_split": "train",
        "test_split": "test",
        "fewshot_split": "train",
        "num_fewshot": num_fewshot,
        "fewshot_config": {"sampler": sampler},
        "output_type": "multiple_choice",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        **task,
    }
    result = lm_eval.simple_evaluate(
        model=model,
        tasks=[config],
        limit=limit or DOCUMENTS,
        bootstrap_iters=0 if "metric_list" in task else 1000,
        cache_requests=False,
        **how,
    )
    samples = sorted(result["samples"]["parity"], key=lambda sample: sample["doc_id"])
    return samples, result["results"]["parity"]


def run_ours(folder, data, task, variants, ranks=1, limit=None, **config):
    """Records by variant in order of the documents, and the summary's arms by variant."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing: build it (BREAKEVEN_BUILD={BUILD})"
    choice = task.get("doc_to_choice")
    ours = {
        "models": {"smollm2": str(SMOLLM2)},
        "device": DEVICE,
        "task": {
            "name": "parity",
            "splits": {split: {"path": path} for split, path in data.paths.items()},
            "id_field": "id",
            **task,
            **({"doc_to_choice": [choice]} if isinstance(choice, str) else {}),
        },
        "prompts": {"variants": variants},
        "split": "test",
        "limit": limit or DOCUMENTS,
        "output": str(folder / "out"),
        **config,
    }
    path = folder / "eval.yaml"
    path.write_text(json.dumps(ours, ensure_ascii=False), encoding="utf-8")
    done = run("eval", path, ranks=ranks if ranks > 1 else 0, timeout=1500)
    assert done.code == 0, done.err
    records = {variant["name"]: [] for variant in variants}
    for line in (folder / "out" / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records[record["variant"]].append(record)
    summary = json.loads((folder / "out" / "summary.json").read_text())
    return records, {arm["variant"]: arm for arm in summary["arms"]}


def argmax(values):
    return max(range(len(values)), key=lambda i: values[i])


def is_tie(values, tolerance):
    first, second = sorted(values, reverse=True)[:2]
    return first - second < 2 * tolerance


def compare_choices(samples, results, records, arm, num_documents=DOCUMENTS):
    assert len(samples) == len(records) == num_documents
    worst = 0.0
    ties = 0
    for sample, record in zip(samples, records, strict=True):
        assert sample["doc"]["id"] == record["doc_id"]
        expected = [response[0][0] for response in sample["resps"]]
        got = [choice["loglikelihood"] for choice in record["choices"]]
        gaps = [abs(a - b) for a, b in zip(expected, got, strict=True)]
        assert max(gaps) <= TOLERANCE, (record["doc_id"], expected, got)
        worst = max(worst, *gaps)
        greedy = [bool(response[0][1]) for response in sample["resps"]]
        assert greedy == [choice["is_greedy"] for choice in record["choices"]], record["doc_id"]
        lengths = [choice["num_chars"] for choice in record["choices"]]
        for metric, scale in (("acc", [1] * len(got)), ("acc_norm", lengths)):
            theirs = [value / size for value, size in zip(expected, scale, strict=True)]
            ours = [value / size for value, size in zip(got, scale, strict=True)]
            if is_tie(theirs, TOLERANCE / min(scale)):
                ties += 1
                continue
            assert argmax(theirs) == argmax(ours), (record["doc_id"], metric)
            assert sample[metric] == record["metrics"][metric], (record["doc_id"], metric)
    if ties == 0:
        for metric in ("acc", "acc_norm"):
            value = arm["metrics"][metric]
            assert math.isclose(value["value"], results[f"{metric},none"], abs_tol=1e-12)
            assert math.isclose(
                value["standard_error"], results[f"{metric}_stderr,none"], abs_tol=1e-12
            )
    print(f"{num_documents} documents: largest difference {worst:.2e}, {ties} ties")
