"""Training beside a plain PyTorch + transformers loop on the same batches, in float32: twenty AdamW steps with clipping, a
schedule with warm-up, weight decay on matrices only, ragged examples with unequal masks. And back: transformers loads our
checkpoint and gives our logits.

Needs the built program (BREAKEVEN_BUILD, default build/release) and, for SmolLM2, models/SmolLM2-135M-Instruct.
"""

import json
import math
import os
import pathlib
import random
import subprocess

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, get_scheduler
from program import BUILD, ROOT

transformers.utils.logging.disable_progress_bar()

SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"
DEVICE = os.environ.get("BREAKEVEN_DEVICE", "cpu")  # ours; the reference computes on the CPU always

STEPS, BATCH, LEARNING_RATE, WARMUP, DECAY, CLIP = 20, 6, 2e-3, 3, 0.1, 0.5

CONFIGS = {
    "llama": lambda: LlamaConfig(
        vocab_size=300, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.1),
    "gpt2": lambda: GPT2Config(
        vocab_size=300, n_embd=48, n_layer=2, n_head=4, n_positions=64, initializer_range=0.1, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0),
}


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stderr
    return done


def make_examples(count, longest, vocabulary):
    """Tokens and the half-open spans of them that carry loss."""
    rng = random.Random(3)
    examples = []
    for _ in range(count):
        length = rng.randint(3, longest)
        begin = rng.randint(1, length - 1)
        spans = [[begin, rng.randint(begin + 1, length)]]
        if spans[0][1] + 1 < length:
            spans.append([spans[0][1] + 1, length])
        examples.append(([rng.randrange(vocabulary) for _ in range(length)], spans))
    return examples


def write_dataset(folder, examples, vocabulary, tokenizer_fingerprint):
    request = {
        "write": str(folder), "name": "train",
        "info": {"split": "train", "tokenizer_fingerprint": tokenizer_fingerprint, "template_fingerprint": "0",
                 "vocab_size": vocabulary, "config": "{}", "source_hashes": {}, "counts": {}},
        "examples": [{"tokens": tokens, "targets": spans, "id": i + 1, "group": i}
                     for i, (tokens, spans) in enumerate(examples)]}
    answer = json.loads(run(BUILD / "tests" / "dataset_tool", input=json.dumps(request) + "\n").stdout)
    return answer["path"]


def config_of(source, data, output, schedule):
    return json.dumps({  # JSON is YAML
        "model": source, "data": str(data), "output": str(output), "max_steps": STEPS, "log_every_steps": 1,
        "precision": "float32", "device": DEVICE,
        "batching": {"global_batch": {"examples": BATCH}, "micro_batch_tokens": 100, "shuffle": False},
        "optimizer": {"learning_rate": LEARNING_RATE, "weight_decay": DECAY, "max_grad_norm": CLIP},
        "schedule": schedule, "checkpoint": {"every_steps": 1, "keep_last": 1000} if schedule.get("all") else {}})


def our_losses(output):
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    return [s["loss"] for s in steps], [s["learning_rate"] for s in steps], [s["grad_norm"] for s in steps]


def reference(model, examples):
    """The loop a user of PyTorch would write: one example at a time, sums over target tokens."""
    model.train()
    decayed = [p for n, p in model.named_parameters() if p.dim() > 1]
    others = [p for n, p in model.named_parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], lr=LEARNING_RATE)
    scheduler = get_scheduler("cosine", optimizer, WARMUP, STEPS)
    losses, rates, norms = [], [], []
    for step in range(STEPS):
        batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
        num_targets = sum(end - begin for _, spans in batch for begin, end in spans)
        total = 0.0
        for tokens, spans in batch:
            logits = model(input_ids=torch.tensor([tokens])).logits[0]
            rows = [t for begin, end in spans for t in range(begin, end)]
            picked = logits[[t - 1 for t in rows]]
            loss = torch.nn.functional.cross_entropy(picked, torch.tensor([tokens[t] for t in rows]), reduction="sum")
            (loss / num_targets).backward()
            total += loss.item() / num_targets
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        losses.append(total)
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return losses, rates, norms


def compare(model, source, examples, vocabulary, tmp_path, fingerprint="", tolerance=1e-4):
    data = write_dataset(tmp_path, examples, vocabulary, fingerprint)
    config = tmp_path / "train.yaml"
    config.write_text(config_of(source, data, tmp_path / "run", {"kind": "cosine", "warmup_steps": WARMUP}))
    run(BUILD / "breakeven", "train", config)
    losses, rates, norms = our_losses(tmp_path / "run")
    expected_losses, expected_rates, expected_norms = reference(model, examples)
    worst = max(abs(a - b) / abs(b) for a, b in zip(losses, expected_losses, strict=True))
    print(f"largest relative difference of the loss over {STEPS} steps: {worst:.2e}")
    assert rates == pytest.approx(expected_rates, rel=1e-12, abs=0)
    assert norms == pytest.approx(expected_norms, rel=1e-3)
    assert worst <= tolerance
    assert min(expected_norms) > CLIP or max(expected_norms) > CLIP, "nothing was clipped: the test shows less"
    return tmp_path / "run" / "checkpoints" / f"step_{STEPS:06d}"


def compare_checkpoint(checkpoint, trained, examples, tmp_path):
    """transformers reads our folder; its logits are ours, its weights those of the reference loop."""
    loaded = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert loaded.dtype == torch.float32
    for (name, ours), (_, theirs) in zip(loaded.named_parameters(), trained.named_parameters(), strict=True):
        if name.endswith("attn.c_attn.bias"):
            # A bias of all keys shifts every score of a row alike: its true gradient is zero, and AdamW makes steps of full
            # size out of the rounding that is left.
            ours, theirs = (torch.cat([bias.chunk(3)[0], bias.chunk(3)[2]]) for bias in (ours, theirs))
        change = (ours - theirs).norm() / theirs.norm().clamp_min(1e-6)
        assert change < 2e-3, (name, change.item())
    tokens = max((tokens for tokens, _ in examples), key=len)
    job = tmp_path / "job.json"
    job.write_text(json.dumps({
        "folder": str(checkpoint), "segments": [tokens], "targets": tokens[1:] + [0], "weights": [1.0] * len(tokens),
        "normalizer": 1.0, "gradients": False, "out": str(tmp_path / "out.safetensors"), "threads": 1, "device": DEVICE}))
    run(BUILD / "tests" / "model_tool", job)
    ours = load_file(tmp_path / "out.safetensors")["logits"]
    with torch.no_grad():
        theirs = loaded.eval()(input_ids=torch.tensor([tokens])).logits[0]
    assert (ours - theirs).abs().max().item() <= 1e-4


@pytest.mark.parametrize("family", CONFIGS)
def test_twenty_steps_equal_a_plain_loop(family, tmp_path):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    config = CONFIGS[family]()
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path / "model")
    examples = make_examples(60, 30, config.vocab_size)
    write_tokenizer(tmp_path / "model", config.vocab_size)
    fingerprint = tokenizer_fingerprint(tmp_path / "model")
    source = {"path": str(tmp_path / "model")}
    checkpoint = compare(model, source, examples, config.vocab_size, tmp_path, fingerprint)
    compare_checkpoint(checkpoint, model, examples, tmp_path)


@pytest.mark.full
def test_twenty_steps_of_smollm2(tmp_path):
    if not SMOLLM2.exists():
        pytest.skip("models/SmolLM2-135M-Instruct is not there")
    global LEARNING_RATE, CLIP
    torch.set_num_threads(os.cpu_count())
    fingerprint = tokenizer_fingerprint(SMOLLM2)
    LEARNING_RATE, CLIP = 5e-5, 1.0
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2, dtype=torch.float32)
    examples = make_examples(60, 24, 49152)
    checkpoint = compare(model, {"path": str(SMOLLM2)}, examples, 49152, tmp_path, fingerprint)
    compare_checkpoint(checkpoint, model, examples, tmp_path)


def write_tokenizer(folder, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([pathlib.Path(__file__).read_text()], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))


def tokenizer_fingerprint(folder):
    shown = json.loads(run(BUILD / "breakeven", "inspect", folder, "--json").stdout)
    return shown["tokenizer"]["fingerprint"]


SCHEDULES = [
    ("linear", "linear", {}),
    ("cosine", "cosine", {}),
    ("constant", "constant_with_warmup", {}),
    ("warmup_stable_decay", "warmup_stable_decay", {"num_decay_steps": 5, "min_lr_ratio": 0.1}),
]


@pytest.mark.parametrize("ours, theirs, extra", SCHEDULES)
def test_schedules_equal_transformers(ours, theirs, extra, tmp_path):
    """Read off a real run of a model that is next to nothing."""
    config = LlamaConfig(vocab_size=31, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                         num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True)
    (tmp_path / "config.json").write_text(json.dumps({**config.to_dict(), "architectures": ["LlamaForCausalLM"]}))
    data = write_dataset(tmp_path, make_examples(30, 8, 31), 31, "")
    schedule = {"kind": ours, "warmup_steps": WARMUP, "decay_ratio": 0.25}
    if "min_lr_ratio" in extra:
        schedule["min_ratio"] = extra["min_lr_ratio"]
    path = tmp_path / "train.yaml"
    path.write_text(config_of({"config": str(tmp_path / "config.json")}, data, tmp_path / "run", schedule))
    run(BUILD / "breakeven", "train", path)
    _, rates, _ = our_losses(tmp_path / "run")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    scheduler = get_scheduler(theirs, optimizer, WARMUP, STEPS, scheduler_specific_kwargs=extra or None)
    expected = []
    for _ in range(STEPS):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(expected, rel=1e-12, abs=1e-20)
    assert not math.isnan(sum(rates))
