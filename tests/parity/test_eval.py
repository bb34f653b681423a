"""`breakeven eval` against lm-evaluation-harness 0.4.13, live, on the same task content: SmolLM2 in float32.

Every log-likelihood within 1e-3, every prediction equal (ties aside), metrics and standard errors equal. 20 documents; 200
with BREAKEVEN_FULL=1. Needs the built program (BREAKEVEN_BUILD, default build/release) and models/SmolLM2-135M-Instruct.
"""

import json
import math
import os
import re
import random
import subprocess

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets  # noqa: E402
import lm_eval  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from program import BREAKEVEN as PROGRAM, BUILD, FULL, ROOT  # noqa: E402

SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"
DEVICE = os.environ.get("BREAKEVEN_DEVICE", "cpu")  # ours; the reference computes on the CPU always
DOCUMENTS = 200 if FULL else 20
# At most this many documents where each costs the harness much.
LONG_DOCUMENTS = DOCUMENTS // 2
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


LETTERS = {
    "doc_to_text": "{{question}}\nA. {{a}}\nB. {{b}}\nC. {{c}}\nD. {{d}}\nAnswer:",
    "doc_to_choice": ["A", "B", "C", "D"],
    "doc_to_target": "{{label}}",
}
SENTENCES = {
    "doc_to_text": "{{question}}\nAnswer:",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{label}}",
}


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


def shortened(harness, max_length):
    """The same model, seeing fewer tokens."""
    return HFLM(
        pretrained=harness.model,
        tokenizer=harness.tokenizer,
        device="cpu",
        batch_size=1,
        logits_cache=False,
        max_length=max_length,
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
    command = [str(PROGRAM), "eval", str(path)]
    environment = dict(os.environ)
    if ranks > 1:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        mpirun = f"mpirun -n {ranks} --oversubscribe --bind-to none --mca mpi_yield_when_idle 1"
        command = [*mpirun.split(), *command]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1500, env=environment)
    assert run.returncode == 0, run.stderr
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


VARIANTS = [
    {"name": "zero", "num_fewshot": 0},
    {"name": "first_n", "num_fewshot": 2, "fewshot_sampler": "first_n"},
    {"name": "described", "description": "Choose well.\n\n", "fewshot_delimiter": "\n###\n"}
    | {"num_fewshot": 1, "fewshot_sampler": "first_n"},
]


@pytest.mark.parametrize("task", [LETTERS, SENTENCES], ids=["letters", "sentences"])
def test_choices_equal_the_harness(tmp_path, data, harness, task):
    records, arms = run_ours(tmp_path, data, task, VARIANTS)
    compare_choices(*run_harness(harness, data, task), records["zero"], arms["zero"])
    two = run_harness(harness, data, task, num_fewshot=2)
    compare_choices(*two, records["first_n"], arms["first_n"])
    described = {**task, "description": "Choose well.\n\n", "fewshot_delimiter": "\n###\n"}
    one = run_harness(harness, data, described, num_fewshot=1)
    compare_choices(*one, records["described"], arms["described"])


def test_in_bfloat16_we_are_as_near_to_float32_as_the_harness(tmp_path, data, harness):
    """Rounding differs from kernel to kernel; how much is lost by it must not."""
    limit = 6
    shots = [{"name": "zero"}, {"name": "two", "num_fewshot": 2, "fewshot_sampler": "first_n"}]
    records, _ = run_ours(tmp_path, data, SENTENCES, shots, limit=limit, precision="bfloat16", force_bfloat16=True)
    rounded = HFLM(pretrained=str(SMOLLM2), dtype="bfloat16", device="cpu", batch_size=4, logits_cache=False)
    for variant in shots:
        samples = {
            name: run_harness(model, data, SENTENCES, num_fewshot=variant.get("num_fewshot", 0), limit=limit)[0]
            for name, model in (("exact", harness), ("rounded", rounded))
        }
        values = {
            name: [response[0][0] for sample in found for response in sample["resps"]] for name, found in samples.items()
        }
        ours = [choice["loglikelihood"] for record in records[variant["name"]] for choice in record["choices"]]
        assert {record["precision"] for record in records[variant["name"]]} == {"bfloat16"}

        def error(found):
            return math.sqrt(sum((a - b) ** 2 for a, b in zip(found, values["exact"], strict=True)) / len(found))

        print(f"{variant['name']}: root mean square {error(ours):.3f}, the harness {error(values['rounded']):.3f}")
        assert 0 < error(ours) <= 1.5 * error(values["rounded"]), variant["name"]


def test_shots_drawn_per_document_equal_the_harness(tmp_path, data, harness):
    variant = {"name": "drawn", "num_fewshot": 3, "fewshot_sampler": "per_doc", "fewshot_seed": 77}
    records, arms = run_ours(tmp_path, data, LETTERS, [variant], limit=LONG_DOCUMENTS)
    theirs = run_harness(
        harness,
        data,
        LETTERS,
        num_fewshot=3,
        sampler="default",
        fewshot_random_seed=77,
        limit=LONG_DOCUMENTS,
    )
    compare_choices(*theirs, records["drawn"], arms["drawn"], LONG_DOCUMENTS)


@pytest.mark.parametrize("multiturn", [True, False], ids=["multiturn", "one_turn"])
def test_chat_prompts_equal_the_harness(tmp_path, data, harness, multiturn):
    system = "You answer with one letter."
    variant = {
        "name": "chat",
        "apply_chat_template": True,
        "fewshot_as_multiturn": multiturn,
        "system": system,
        "num_fewshot": 2,
        "fewshot_sampler": "first_n",
    }
    records, arms = run_ours(tmp_path, data, LETTERS, [variant], limit=LONG_DOCUMENTS)
    theirs = run_harness(
        harness,
        data,
        LETTERS,
        num_fewshot=2,
        apply_chat_template=True,
        fewshot_as_multiturn=multiturn,
        system_instruction=system,
        limit=LONG_DOCUMENTS,
    )
    compare_choices(*theirs, records["chat"], arms["chat"], LONG_DOCUMENTS)


def test_prompts_cut_at_their_left_equal_the_harness(tmp_path, data, harness):
    variant = {"name": "cut", "num_fewshot": 2, "fewshot_sampler": "first_n"}
    limit = LONG_DOCUMENTS
    records, arms = run_ours(tmp_path, data, SENTENCES, [variant], max_length=60, limit=limit)
    assert arms["cut"]["truncated"] == limit
    short = shortened(harness, 60)
    theirs = run_harness(short, data, SENTENCES, num_fewshot=2, limit=limit)
    compare_choices(*theirs, records["cut"], arms["cut"], limit)


def test_rolling_perplexity_equals_the_harness(tmp_path, data, harness):
    metrics = ["word_perplexity", "byte_perplexity", "bits_per_byte"]
    task = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}
    limit = LONG_DOCUMENTS
    records, arms = run_ours(
        tmp_path,
        data,
        {**task, "metrics": metrics},
        [{"name": "text"}],
        max_length=50,  # several windows a document
        rolling_bos="lm_eval",
        limit=limit,
    )
    metric_list = [{"metric": metric} for metric in metrics]
    samples, results = run_harness(
        shortened(harness, 50), data, {**task, "metric_list": metric_list}, limit=limit
    )
    windows = 0
    for sample, record in zip(samples, records["text"], strict=True):
        expected = sample["resps"][0][0]
        expected = expected[0] if isinstance(expected, (list, tuple)) else expected
        got = record["choices"][0]["loglikelihood"]
        windows += math.ceil(record["choices"][0]["num_tokens"] / 50)
        assert abs(expected - got) <= TOLERANCE * windows, (record["doc_id"], expected, got)
    assert windows > limit, "no document had more than one window"
    # The harness's formulas on our own log-likelihoods give our metrics; beside its metrics they may differ by what the
    # tolerance of the log-likelihoods makes of them.
    texts = [sample["doc"]["text"] for sample in samples]
    total = -sum(record["choices"][0]["loglikelihood"] for record in records["text"])
    words = sum(len(re.split(r"\s+", text)) for text in texts)
    num_bytes = sum(len(text.encode()) for text in texts)
    per = {"word_perplexity": words, "byte_perplexity": num_bytes, "bits_per_byte": num_bytes}
    for metric in metrics:
        got, theirs = arms["text"]["metrics"][metric]["value"], results[f"{metric},none"]
        nats = total / per[metric]
        formula = nats / math.log(2) if metric == "bits_per_byte" else math.exp(nats)
        assert math.isclose(got, formula, rel_tol=1e-12), metric
        assert math.isclose(got, theirs, rel_tol=TOLERANCE * windows / per[metric]), metric


def test_generated_answers_equal_the_harness(tmp_path, data, harness):
    task = {
        "output_type": "generate_until",
        "doc_to_text": "{{question}}\nAnswer:",
        "doc_to_target": "{{a}}",
    }
    limit = LONG_DOCUMENTS
    records, arms = run_ours(
        tmp_path,
        data,
        {**task, "until": ["\n", "."], "max_gen_toks": 24, "metrics": ["exact_match"]},
        [{"name": "plain"}],
        exact_match={"strip": False, "ignore_case": True, "ignore_punctuation": True},
        limit=limit,
    )
    samples, results = run_harness(
        harness,
        data,
        {
            **task,
            "generation_kwargs": {"until": ["\n", "."], "max_gen_toks": 24, "do_sample": False},
            "metric_list": [
                {"metric": "exact_match", "ignore_case": True, "ignore_punctuation": True}
            ],
        },
        limit=limit,
    )
    for sample, record in zip(samples, records["plain"], strict=True):
        assert sample["filtered_resps"][0] == record["prediction"], record["doc_id"]
        assert sample["exact_match"] == record["metrics"]["exact_match"]
    got = arms["plain"]["metrics"]["exact_match"]
    assert math.isclose(got["value"], results["exact_match,none"], abs_tol=1e-12)


def test_records_are_the_same_bytes_for_two_ranks(tmp_path, data):
    """Through mpirun; tests/trainer/prompt_eval has 1 to 4 ranks as threads."""
    files = []
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        run_ours(folder, data, SENTENCES, [{"name": "zero"}], ranks=ranks, limit=10, threads=1)
        files.append((folder / "out" / "records.jsonl").read_bytes())
    assert files[0] == files[1]
