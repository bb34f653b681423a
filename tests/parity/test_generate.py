"""`breakeven generate`, greedy, against transformers' generate(do_sample=False), live: 20 prompts × 64 tokens in float32.

Needs the built program (BREAKEVEN_BUILD, default build/release) and models/SmolLM2-135M-Instruct.
"""

import json
import os

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from program import BREAKEVEN as PROGRAM, ROOT, run  # noqa: E402

SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"
DEVICE = os.environ.get("BREAKEVEN_DEVICE", "cpu")  # ours; the reference computes on the CPU always
NEW_TOKENS = 64
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):\n",
    "Water boils at",
    "1, 2, 3, 5, 8,",
    "Dear Sir or Madam,\n\nI am writing to",
    "The three laws of thermodynamics say that",
    "안녕하세요, 저는",
    "Q: What is the largest planet?\nA:",
    "SELECT name FROM users WHERE",
    "It was the best of times,",
    "In 1969,",
    "To make bread you need",
    "🙂 means",
    "The theory of evolution by natural selection was proposed by",
    "A",
    "import numpy as np\n\n# Compute the mean of each column\n",
    "He opened the door and",
    "The difference between a comet and an asteroid is",
    "List of fruits:\n- apple\n- banana\n",
]


@pytest.fixture(scope="module")
def reference():
    if not SMOLLM2.exists():
        pytest.skip(f"{SMOLLM2} is missing: ./launch/quickstart.sh --only data makes it")
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(SMOLLM2)


def generate(tmp_path, ranks=1, **config):
    assert PROGRAM.exists(), f"{PROGRAM} is missing: build it"
    path = tmp_path / "generate.yaml"
    output = tmp_path / "out.jsonl"
    path.write_text(
        json.dumps({"model": str(SMOLLM2), "device": DEVICE, "output": str(output), **config}, ensure_ascii=False),
        encoding="utf-8",
    )
    done = run("generate", path, ranks=ranks if ranks > 1 else 0, timeout=600)
    assert done.code == 0, done.err
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def expected_tokens(reference, inputs, **how):
    model, _ = reference
    with torch.no_grad():
        output = model.generate(inputs, do_sample=False, max_new_tokens=NEW_TOKENS, **how)
    return output[0, inputs.shape[1] :].tolist()


def check_equal(reference, inputs, got, what):
    """Equal, or where they part the two tokens' logits are closer than float32 can tell."""
    model, _ = reference
    expected = expected_tokens(reference, inputs, attention_mask=torch.ones_like(inputs))
    if got == expected:
        return True
    place = next(i for i, (a, b) in enumerate(zip(got, expected)) if a != b)
    text = torch.cat([inputs[0], torch.tensor(expected[:place], dtype=torch.long)])[None]
    with torch.no_grad():
        logits = model(text).logits[0, -1]
    gap = (logits[expected[place]] - logits[got[place]]).item()
    assert abs(gap) < 1e-4, f"{what}: token {place} is {got[place]}, expected {expected[place]}"
    return False


def test_greedy_equals_transformers(tmp_path, reference):
    generations = generate(tmp_path, prompts=PROMPTS, max_new_tokens=NEW_TOKENS)
    assert [g["prompt"] for g in generations] == PROMPTS
    _, tokenizer = reference
    equal = 0
    for generation in generations:
        inputs = tokenizer(generation["prompt"], return_tensors="pt").input_ids
        equal += check_equal(reference, inputs, generation["tokens"], generation["prompt"])
        text = tokenizer.decode(generation["tokens"], skip_special_tokens=True)
        assert generation["text"] == text
        ended = generation["tokens"][-1] == tokenizer.eos_token_id
        assert generation["finish"] == ("stop" if ended else "length")
    print(f"{equal} of {len(PROMPTS)} token for token; the others part at a tie of two logits")
    assert equal >= len(PROMPTS) - 1


def test_chat_prompts_are_rendered_as_transformers_does(tmp_path, reference):
    prompts = ["What is the capital of Italy?", "Name a colour."]
    system = "You answer briefly."
    generations = generate(
        tmp_path,
        prompts=prompts,
        apply_chat_template=True,
        system=system,
        max_new_tokens=NEW_TOKENS,
    )
    _, tokenizer = reference
    for prompt, generation in zip(prompts, generations, strict=True):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        check_equal(reference, inputs, generation["tokens"], prompt)


def test_stop_texts_end_an_answer(tmp_path):
    whole = generate(tmp_path, prompts=PROMPTS[:2], max_new_tokens=24)
    cut = generate(tmp_path, prompts=PROMPTS[:2], max_new_tokens=24, until=[".", ","])
    for free, stopped in zip(whole, cut, strict=True):
        text = free["text"].split(".")[0].split(",")[0]
        assert stopped["text"] == text
        assert len(stopped["tokens"]) <= len(free["tokens"])


def test_samples_depend_on_seed_and_prompt_but_not_on_ranks(tmp_path):
    how = dict(prompts=PROMPTS[:5], max_new_tokens=12, temperature=0.8, top_p=0.95, threads=1)
    one = generate(tmp_path, seed=3, **how)
    assert generate(tmp_path, seed=3, ranks=2, **how) == one
    assert generate(tmp_path, seed=4, **how) != one
