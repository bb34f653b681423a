"""lm-evaluation-harness's own task files, read where pip has put them, against the harness itself on local data: SmolLM2, float32.

Both get the same file and the same documents, made here. Every log-likelihood within 1e-3, every answer, metric and prompt
rule equal. Needs the built program (BREAKEVEN_BUILD, default build/release) and models/SmolLM2-135M-Instruct.
"""

import json
import math
import os
import pathlib
import random
import subprocess

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets  # noqa: E402
import lm_eval  # noqa: E402
from lm_eval.tasks._yaml_loader import load_yaml  # noqa: E402
from harness_eval import BUILD, DEVICE, PROGRAM, SMOLLM2, THINGS, TOLERANCE, compare_choices, harness  # noqa: E402, F401
from program import FULL  # noqa: E402

TASKS = pathlib.Path(lm_eval.__file__).parent / "tasks"
TOOL = BUILD / "tests" / "prompt_tool"
CHOICES = 60 if FULL else 16
TEXTS = 12 if FULL else 4
KINDS = list(THINGS)


def question(draw):
    kind = draw.choice(KINDS)
    options = [draw.choice(THINGS[k]) for k in KINDS]
    draw.shuffle(options)
    right = next(i for i, option in enumerate(options) if option in THINGS[kind])
    return f"In {draw.randrange(1900, 2030)}, which one was {kind}", options, right


def document(i, seed):
    """One document with the fields of every task below."""
    draw = random.Random(1000 * seed + i)
    text, options, right = question(draw)
    others = [option for n, option in enumerate(options) if n != right]
    story = " ".join(f"She said {option} and it cost {draw.randrange(90)}.50." for option in options * 2)
    return {
        "id": f"{seed}-{i}",
        "question": text,
        "goal": text,
        "question_stem": text + "?",
        "support": f"  Somebody named {options[0]} and {options[3]} first.",
        "passage": story,
        "sentence": story.split(".")[0] + ".",
        "sentence1": f"They sold the {options[0]}.",
        "sentence2": f"The {options[draw.randrange(2)]} was sold.",
        "sentence_good": f"The {options[right]} was seen by nobody.",
        "sentence_bad": f"The {options[right]} were saw by nobody.",
        "text": story[: len(story) // 2],  # a sum over all tokens, held to the tolerance of a choice
        "input": text + "?",
        "target": options[right],
        "sol1": options[0],
        "sol2": options[1],
        "correct_answer": options[right],
        **{f"distractor{n + 1}": option for n, option in enumerate(others)},
        "label": right % 2,
    }


def arc(i, seed):
    row = document(i, seed)
    _, options, right = question(random.Random(1000 * seed + i))
    return row | {"choices": {"text": options, "label": list("ABCD")}, "answerKey": "ABCD"[right]}


def mmlu(i, seed):
    _, options, right = question(random.Random(1000 * seed + i))
    return document(i, seed) | {"choices": options, "answer": right}


def gsm8k(i, seed):
    draw = random.Random(1000 * seed + i)
    a, b = draw.randrange(2, 60), draw.randrange(2, 1200)
    return {
        "id": f"{seed}-{i}",
        "question": f"Ann has {a} marbles and finds {b} more. How many has she?",
        "answer": f"She has {a} + {b} = {a + b} marbles.\n#### {a + b:,}",
    }


def trivia(i, seed):
    _, options, right = question(random.Random(1000 * seed + i))
    return document(i, seed) | {"answer": {"aliases": [options[right], options[right].upper(), "it"]}}


class Task:
    """A shipped file, local documents for it, and both programs' answers."""

    def __init__(self, folder, path, make, count, **overrides):
        self.path = TASKS / path
        self.config = load_yaml(self.path) | overrides
        self.count = count
        self.folder = folder
        names = [self.config.get(f"{kind}_split") for kind in ("training", "validation", "test")]
        self.splits = {}
        self.paths = {}
        rows_of = {}
        for number, (ours, name) in enumerate(zip(("train", "dev", "test"), names)):
            rows = [make(i, number + 1) for i in range(24 if ours == "train" else count)]
            self.paths[ours] = str(folder / f"{ours}.jsonl")
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            pathlib.Path(self.paths[ours]).write_text(lines, encoding="utf-8")
            if name is not None:
                self.splits[name] = rows
            rows_of[ours] = rows
        shots = self.config.get("fewshot_split")
        if shots is not None and shots not in self.splits:
            self.splits[shots] = rows_of["dev"]
        self.scored = "test" if names[2] is not None else "dev"

    def as_datasets(self, **_):
        return {name: datasets.Dataset.from_list(rows) for name, rows in self.splits.items()}

    def theirs(self, model, num_fewshot=None, **how):
        config = {k: v for k, v in self.config.items() if not k.startswith("dataset_")}
        config |= {"task": "parity", "custom_dataset": self.as_datasets, "tag": None}
        result = lm_eval.simple_evaluate(
            model=model,
            tasks=[config],
            num_fewshot=num_fewshot,
            bootstrap_iters=1000,  # 0 leaves standard errors out
            cache_requests=False,
            **how,
        )
        samples = sorted(result["samples"]["parity"], key=lambda sample: sample["doc_id"])
        return samples, result["results"]["parity"]

    def ours(self, variants=None, config=None, **task):
        settings = {
            "models": {"smollm2": str(SMOLLM2)},
            "device": DEVICE,
            "task": {
                "harness": str(self.path),
                "splits": {split: {"path": path} for split, path in self.paths.items()},
                "id_field": "id",
                **task,
            },
            "split": self.scored,
            "output": str(self.folder / "out"),
            **(config or {}),
        }
        if variants is not None:
            settings["prompts"] = {"variants": variants}
        path = self.folder / "eval.yaml"
        path.write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
        run = subprocess.run([str(PROGRAM), "eval", str(path)], capture_output=True, text=True, timeout=1500)
        assert run.returncode == 0, run.stderr
        assert "a task of lm-evaluation-harness" in run.stderr
        lines = (self.folder / "out" / "records.jsonl").read_text(encoding="utf-8").splitlines()
        summary = json.loads((self.folder / "out" / "summary.json").read_text())
        return [json.loads(line) for line in lines], summary["arms"][0]


def close(arm, results, names, tolerance=1e-12):
    for ours, theirs in names.items():
        got, expected = arm["metrics"][ours]["value"], results[theirs]
        assert math.isclose(got, expected, abs_tol=tolerance), (ours, got, expected)


def compare_accuracy(samples, results, records, arm, count, metrics=("acc",)):
    """As compare_choices, for tasks without acc_norm."""
    assert len(samples) == len(records) == count
    ties = 0
    for sample, record in zip(samples, records, strict=True):
        assert sample["doc"]["id"] == record["doc_id"]
        expected = [response[0][0] for response in sample["resps"]]
        got = [choice["loglikelihood"] for choice in record["choices"]]
        gap = max(abs(a - b) for a, b in zip(expected, got, strict=True))
        assert gap <= TOLERANCE, (record["doc_id"], expected, got)
        first, second = sorted(expected, reverse=True)[:2]
        if first - second > 2 * TOLERANCE:
            assert got.index(max(got)) == expected.index(first), (record["doc_id"], expected, got)
        else:
            ties += 1  # rounding decides
    assert ties <= count // 8, f"{ties} ties: other documents are needed"
    if ties == 0:
        close(arm, results, {metric: f"{metric},none" for metric in metrics})


NORMED = [
    ("arc/arc_easy.yaml", arc, 0),
    ("arc/arc_easy.yaml", arc, 5),
    ("piqa/piqa.yaml", document, 3),  # no test split: the draw with a spare
    ("sciq/sciq.yaml", document, 0),
    ("openbookqa/openbookqa.yaml", arc, 2),
]


@pytest.mark.parametrize("path, make, shots", NORMED, ids=[f"{p.split('/')[0]}-{n}" for p, _, n in NORMED])
def test_choices_of_shipped_files(tmp_path, harness, path, make, shots):  # noqa: F811
    task = Task(tmp_path, path, make, CHOICES)
    records, arm = task.ours(num_fewshot=shots)
    compare_choices(*task.theirs(harness, num_fewshot=shots), records, arm, CHOICES)


ACCURACY = [
    ("glue/mrpc/default.yaml", 0, ("acc", "f1")),
    ("glue/cola/default.yaml", 0, ("mcc",)),
    ("super_glue/boolq/default.yaml", 1, ("acc",)),
    ("blimp/causative.yaml", 0, ("acc",)),  # an empty question
]


@pytest.mark.parametrize("path, shots, metrics", ACCURACY, ids=[p.split("/")[1].split(".")[0] for p, _, _ in ACCURACY])
def test_labels_of_shipped_files(tmp_path, harness, path, shots, metrics):  # noqa: F811
    task = Task(tmp_path, path, document, CHOICES)
    records, arm = task.ours(num_fewshot=shots)
    compare_accuracy(*task.theirs(harness, num_fewshot=shots), records, arm, CHOICES, metrics)


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_a_description_first_shots_and_the_chat_template(tmp_path, harness, chat):  # noqa: F811
    task = Task(tmp_path, "mmlu/default/mmlu_anatomy.yaml", mmlu, CHOICES)
    system = "You answer with one letter."
    variant = {"name": "v", "num_fewshot": 2, "fewshot_sampler": "first_n", "fewshot_split": "dev"}
    how = {}
    if chat:
        variant |= {"apply_chat_template": True, "system": system}
        how = {"apply_chat_template": True, "fewshot_as_multiturn": True, "system_instruction": system}
    records, arm = task.ours([variant])
    compare_accuracy(*task.theirs(harness, num_fewshot=2, **how), records, arm, CHOICES)


def compare_texts(samples, results, records, arm, pipelines):
    """`pipelines`: the harness's name of each, and the name of our metric."""
    for pipeline, metric in pipelines.items():
        chosen = [sample for sample in samples if sample["filter"] == pipeline]
        assert len(chosen) == len(records) > 0
        for sample, record in zip(chosen, records, strict=True):
            assert sample["doc"]["id"] == record["doc_id"]
            assert sample["resps"][0][0] == record.get("generated", record["prediction"]), record["doc_id"]
            if pipeline == next(iter(pipelines)):
                answer = sample["filtered_resps"][0]
                assert answer == record["prediction"], record["doc_id"]
            assert sample["exact_match"] == record["metrics"][metric], (record["doc_id"], metric)
        close(arm, results, {metric: f"exact_match,{pipeline}"})


def test_gsm8k_has_two_pipelines(tmp_path, harness):  # noqa: F811
    """Shots, number of them and stop texts are the file's; only the length is cut, so that it does not take minutes."""
    task = Task(tmp_path, "gsm8k/gsm8k.yaml", gsm8k, TEXTS)
    task.config["generation_kwargs"] |= {"max_gen_toks": 48}
    records, arm = task.ours(max_gen_toks=48)
    names = {name: f"exact_match,{name}" for name in ("strict-match", "flexible-extract")}
    samples, results = task.theirs(harness)
    compare_texts(samples, results, records, arm, names)
    assert any(record["prediction"] != "[invalid]" for record in records), "no answer was found at all"


def test_any_of_several_right_answers(tmp_path, harness):  # noqa: F811
    task = Task(tmp_path, "triviaqa/default.yaml", trivia, TEXTS)
    task.config["generation_kwargs"] |= {"max_gen_toks": 16}
    records, arm = task.ours(max_gen_toks=16, num_fewshot=1)
    samples, results = task.theirs(harness, num_fewshot=1)
    compare_texts(samples, results, records, arm, {"remove_whitespace": "exact_match"})


def test_shots_that_stand_in_the_file(tmp_path, harness):  # noqa: F811
    task = Task(tmp_path, "bbh/cot_fewshot/date_understanding.yaml", document, 2)
    task.config["generation_kwargs"] |= {"max_gen_toks": 24}
    records, arm = task.ours(max_gen_toks=24)
    samples, results = task.theirs(harness)
    compare_texts(samples, results, records, arm, {"get-answer": "exact_match"})
    assert arm["mean_prompt_tokens"] > 500, "three worked examples are long"


def test_the_last_word_of_a_text(tmp_path, harness):  # noqa: F811
    task = Task(tmp_path, "lambada/lambada_openai.yaml", document, CHOICES)
    records, arm = task.ours()
    samples, results = task.theirs(harness)
    for sample, record in zip(samples, records, strict=True):
        expected, greedy = sample["resps"][0][0]
        assert abs(expected - record["choices"][0]["loglikelihood"]) <= TOLERANCE
        assert bool(greedy) == record["choices"][0]["is_greedy"]
    close(arm, results, {"acc": "acc,none"})
    relative = arm["metrics"]["perplexity"]["value"] / results["perplexity,none"]
    assert abs(relative - 1) <= TOLERANCE


def test_rolling_perplexity_of_a_shipped_file(tmp_path, harness):  # noqa: F811
    task = Task(tmp_path, "pile_10k/pile_10k.yaml", document, TEXTS)
    records, arm = task.ours(config={"rolling_bos": "lm_eval", "split": task.scored})
    samples, results = task.theirs(harness)
    for sample, record in zip(samples, records, strict=True):
        expected = sample["resps"][0][0]
        expected = expected[0] if isinstance(expected, (list, tuple)) else expected
        assert abs(expected - record["choices"][0]["loglikelihood"]) <= TOLERANCE
    for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        got = arm["metrics"][metric]["value"]
        assert math.isclose(got, results[f"{metric},none"], rel_tol=TOLERANCE), metric


# What our message says, behind file and place.
REASONS = {
    "Python code cannot be run here": "a Python function",
    "a group of tasks": "a group of tasks",
    "is no task": "there to be included",
    "a Python class": "a Python class",
    "several tasks": "a list of tasks",
    "the metric '": "a metric, its aggregation or option",
    "shows pictures": "pictures",
    "several answers to one question": "several answers to a question",
    "runs what the model writes": "runs what the model writes",
    "expected a map of a task's keys": "no map",
    "answers are sampled": "sampled answers",
    "not known as a key": "a key that is not the harness's",
}


def shipped_files():
    for path in sorted(TASKS.rglob("*")):
        if path.is_file() and (path.suffix == ".yaml" or (path.suffix == "" and "yaml" in path.name)):
            yield path


def holds_function(path, seen=()):
    text = path.read_text(encoding="utf-8", errors="replace")
    if "!function" in text:
        return True
    config = load_yaml(path, resolve_func=False, recursive=False)
    includes = config.get("include") or [] if isinstance(config, dict) else []
    includes = includes if isinstance(includes, list) else [includes]
    return any(holds_function(path.parent / name, (*seen, path)) for name in includes if path not in seen)


def test_shipped_files_are_read_or_refused_with_a_reason():
    """All 14,000 with BREAKEVEN_FULL=1, else every twentieth and those that other tests use."""
    files = list(shipped_files())
    assert len(files) > 10000
    if not FULL:
        files = files[::20]
    requests = "".join(json.dumps({"op": "harness", "path": str(path)}) + "\n" for path in files)
    run = subprocess.run([str(TOOL)], input=requests, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr
    counts = {}
    strange = []
    for path, line in zip(files, run.stdout.splitlines(), strict=True):
        answer = json.loads(line)
        if "ok" in answer:
            reason = "read: " + answer["ok"]["output_type"]
        else:
            place, _, message = answer["error"].partition(": ")
            reason = next((name for text, name in REASONS.items() if text in message), "?")
            if reason == "?" or not place.startswith(str(TASKS)):
                strange.append(answer["error"])
            if reason == "a Python function" and not holds_function(path):
                strange.append(f"{path} has no function: {answer['error']}")
        counts[reason] = counts.get(reason, 0) + 1
    for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:6d} {reason}")
    assert not strange, "\n".join(strange[:20])
    for output_type, share in (("multiple_choice", 7), ("generate_until", 9)):
        assert counts[f"read: {output_type}"] > len(files) / share / 1.5
