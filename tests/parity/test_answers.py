"""Answer filters, text metrics, scores of choices and BM25 beside programs that are not ours: lm-evaluation-harness's own
filters, exact match and SQuAD F1 (that of its longbench), rouge_score, scikit-learn, rank_bm25. Needs prompt_tool, built.
"""

import json
import math
import random
import subprocess
import sys
import types

import numpy
import pytest
from lm_eval.api import metrics as harness_metrics
from lm_eval.api.instance import Instance
from lm_eval.filters import build_filter_ensemble
from rank_bm25 import BM25Okapi
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import f1_score, matthews_corrcoef

# longbench's metrics import packages that its F1 does not use.
for name, attribute in (("jieba", "cut"), ("fuzzywuzzy", "fuzz"), ("rouge", "Rouge")):
    if name not in sys.modules:
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], attribute, None)
from lm_eval.tasks.longbench.metrics import normalize_answer, qa_f1_score  # noqa: E402
from program import BUILD  # noqa: E402

TOOL = BUILD / "tests" / "prompt_tool"

WORDS = (
    "The a an cat sat on mat. Mat, Zürich 서울 naïve 12,500 $40 it's its well-known U.S. (B) B. C) choice: "
    "Answer: #### -7 3.14 yes Yes! no No; the end\n Paris  paris \t x=y 🙂 straße STRASSE İstanbul"
).split(" ")


def ask(requests):
    assert TOOL.exists(), f"{TOOL} is missing: build prompt_tool"
    text = "".join(json.dumps(request) + "\n" for request in requests)
    run = subprocess.run([str(TOOL)], input=text, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(requests)
    for request, answer in zip(requests, answers):
        assert "ok" in answer, (request, answer)
    return [answer["ok"] for answer in answers]


def texts(count, seed, longest=12):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(longest))) for _ in range(count)]


def test_f1_is_squads_and_rouge_l_is_rouge_scores():
    pairs = list(zip(texts(400, 1), texts(400, 2)))
    pairs += [(a, a) for a in texts(20, 3)] + [("", ""), ("", "x"), ("the", "a"), ("the", "x")]
    answers = ask([{"op": "texts", "prediction": p, "target": t} for p, t in pairs])
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    found = set()
    for (prediction, target), got in zip(pairs, answers):
        empty = [not normalize_answer(side) for side in (prediction, target)]
        # SQuAD's rule for answers without a word, which longbench leaves out.
        expected = float(all(empty)) if any(empty) else qa_f1_score(prediction, target)
        assert math.isclose(got["f1"], expected, abs_tol=1e-12), (prediction, target)
        expected = scorer.score(target, prediction)["rougeL"].fmeasure
        assert math.isclose(got["rouge_l"], expected, abs_tol=1e-12), (prediction, target)
        found.add(round(got["f1"], 1))
    assert len(found) > 5, "the pairs are too much alike"


def test_scores_of_choices_are_the_harness_s_and_scikit_learns():
    draw = random.Random(4)
    requests, items = [], []
    for _ in range(60):
        logs = [draw.uniform(-30, -1) for _ in range(4)]
        gold = draw.randrange(4)
        requests.append({"op": "brier", "loglikelihoods": logs, "gold": gold})
        exponent = numpy.exp(numpy.array(logs) - max(logs))
        items.append((gold, exponent / exponent.sum()))
    got = ask(requests)
    assert math.isclose(sum(got) / len(got), harness_metrics.brier_score(items), abs_tol=1e-12)
    cases = [[draw.randrange(classes) for _ in range(2 * 40)] for classes in (2, 2, 2, 4) for _ in range(5)]
    cases += [[0] * 80, [1] * 40 + [0] * 40]
    answers = ask([{"op": "confusion", "right": case[:40], "predicted": case[40:]} for case in cases])
    for case, got in zip(cases, answers):
        expected = matthews_corrcoef(case[:40], case[40:])
        assert math.isclose(got["mcc"], expected, abs_tol=1e-12), case
        if max(case) < 2:
            expected = f1_score(case[:40], case[40:], zero_division=0)
            assert math.isclose(got["f1"], expected, abs_tol=1e-12), case


OPTIONS = [
    {},
    {"ignore_case": True, "ignore_punctuation": True},
    {"ignore_numbers": True},
    {"regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"], "ignore_case": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=["exact", "loose", "numbers", "regexes"])
def test_exact_match_is_the_harness_s(options):
    pairs = list(zip(texts(200, 5, 3), texts(200, 6, 3))) + [(a, a.upper()) for a in texts(60, 7, 4)]
    # Python turns İ into two characters in lower case, and so do we; numpy pads with zeros and drops them.
    sides = ask([{"op": "match", "text": text, "options": {"strip": False, **options}} for pair in pairs for text in pair])
    hits = 0
    for i, (prediction, target) in enumerate(pairs):
        expected = harness_metrics.exact_match_hf_evaluate([prediction], [target], **options)["exact_match"]
        assert (sides[2 * i] == sides[2 * i + 1]) == bool(expected), (prediction, target)
        hits += bool(expected)
    assert 0 < hits < len(pairs)


PIPELINES = [
    [{"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"}],
    [{"function": "regex", "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1}],
    [{"function": "regex", "regex_pattern": "(?<=Answer: )(.*)(?=.)", "fallback": "none"}],
    [{"function": "regex", "regex_pattern": "\\w{,3}\\b"}, {"function": "lowercase"}],
    [{"function": "remove_whitespace"}, {"function": "uppercase"}],
    [{"function": "lowercase"}, {"function": "map", "mapping_dict": {"yes": "1", "no": "0"}, "default_value": "?"}],
    [
        {
            "function": "multi_choice_regex",
            "regex_pattern": "(\\([A-Z]\\))",
            "group_select": -1,
            "ignore_case": True,
            "ignore_punctuation": True,
        }
    ],
    [{"function": "multi_choice_regex", "regex_pattern": "(\\([A-Z]\\))", "regexes_to_ignore": ["\\s"]}],
]


@pytest.mark.parametrize("steps", PIPELINES, ids=lambda steps: steps[-1]["function"])
def test_filters_are_the_harness_s(steps):
    choices = ["Paris", "the end", "It's", "B", "cat sat"]
    generated = texts(300, 8, 8) + ["the End!", "it is: B", "its", "Answer: 12."]
    parts = [[step["function"], {k: v for k, v in step.items() if k != "function"}] for step in steps]
    ensemble = build_filter_ensemble("p", [*parts, ["take_first", None]])
    instances = []
    for text in generated:
        instance = Instance("generate_until", {"choices": choices}, ("", {}), 0)
        instance.resps = [text]
        instances.append(instance)
    ensemble.apply(instances)
    pipeline = {"name": "p", "filter": [*steps, {"function": "take_first"}]}
    answers = ask([{"op": "filter", "pipeline": pipeline, "text": t, "choices": choices} for t in generated])
    for instance, text, got in zip(instances, generated, answers):
        assert instance.filtered_resps["p"] == got, text
    assert len(set(answers)) > 1


def test_bm25_is_rank_bm25s():
    pool = texts(80, 9, 30) + ["", "서울 서울 Zürich"]
    queries = texts(20, 10) + ["", "nothing of this kind"]
    requests = [{"op": "bm25", "texts": pool, "query": query} for query in queries]
    answers = ask(requests)
    words = [answer["words"] for answer in ask([{"op": "bm25", "texts": [], "query": text} for text in pool])]
    reference = BM25Okapi(words)
    for query, got in zip(queries, answers):
        expected = reference.get_scores(got["words"])
        assert numpy.allclose(got["scores"], expected, rtol=1e-9, atol=1e-9), query
    assert max(max(answer["scores"]) for answer in answers) > 3
