"""`breakeven eval` against lm-evaluation-harness 0.4.13, live, on the same task content: SmolLM2 in float32.

Every log-likelihood within 1e-3, every prediction equal (ties aside), metrics and standard errors equal. 20 documents; 200
with BREAKEVEN_FULL=1. What both are asked through: tests/support/harness_eval.py.
"""

import math
import re

import pytest
from harness_eval import DOCUMENTS, SMOLLM2, TOLERANCE, compare_choices, data, harness, run_harness, run_ours  # noqa: F401
from lm_eval.models.huggingface import HFLM

# At most this many documents where each costs the harness much.
LONG_DOCUMENTS = DOCUMENTS // 2

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
