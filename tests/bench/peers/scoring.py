"""Scoring prompts beside lm-evaluation-harness, generating beside transformers: parity first, then ratios of speed.

    .venv/bin/python tests/bench/peers/scoring.py [--quick] [--cases NAME,…] [--pairs 5] [--json FILE] [--cpus 0,1]

Ours: `mpirun -n 2 breakeven bench score`, one thread a rank, on the same documents and cores as the peer: HFLM 0.4.13 in
float32 with two threads, at the best of several batch sizes. They take turns (ours, peer, peer, ours, …); start-up counts
for neither, templates and tokenisation for both. The peer scores the first documents of the same list, as many as take it
about --peer-seconds.

| case | what |
|---|---|
| zero_shot | contexts of 40–100 tokens, four choices of 5–20 tokens |
| shots_per_document | the same behind five solved examples that every document draws for itself |
| shots_fixed | the same behind five solved examples, the same for all |
| labels | 0-shot, four choices of one token: the harness shares their forward pass (logits_cache on) |
| generate_1, generate_8 | 48 tokens, greedy, prompts one by one and eight at a time, beside transformers' generate |

Needs build/release (breakeven) and the model of the quickstart. Exit code 1 when log-likelihoods or texts disagree.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent))
import abba  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 1e-3
NEW_TOKENS = 48
CASES = {"zero_shot": 3.0, "shots_per_document": 4.0, "shots_fixed": 8.0, "labels": 1.5, "generate_1": 2.0,
         "generate_8": 1.2}
WORDS = ("river stone harbour window letter garden winter engine market bridge paper signal mountain kettle ladder "
         "forest copper lantern orchard saddle village thunder needle anchor meadow barrel compass furnace").split()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="default: all")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--documents", type=int, default=48)
    parser.add_argument("--peer-seconds", type=float, default=15)
    parser.add_argument("--quick", action="store_true", help="2 pairs, 24 documents")
    parser.add_argument("--cpus", default="0,1")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct")
    parser.add_argument("--json", help="also write everything that was measured to this file")
    parser.add_argument("--set", action="append", default=[], help="key=value for our config, as breakeven's --set")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.documents = min(options.pairs, 2), min(options.documents, 24)
    return options


# ---- the same documents for both -----------------------------------------------------------------------------------

def sentence(draw, low, high):
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(low, high)))


def question(draw, labels):
    text = f"{sentence(draw, 30, 75)}. Which of these goes with {draw.choice(WORDS)}?"
    choices = list("ABCD") if labels else [sentence(draw, 4, 15) for _ in range(4)]
    return {"context": f"Question: {text}\nAnswer:", "choices": choices, "label": draw.randrange(4)}


def documents_of(case, count):
    draw = random.Random(case)
    solved = lambda q: f"{q['context']} {q['choices'][q['label']]}\n\n"  # noqa: E731
    shots = lambda: "".join(solved(question(draw, False)) for _ in range(5))  # noqa: E731
    fixed = shots()
    rows = []
    for _ in range(count):
        row = question(draw, case == "labels")
        if case == "shots_fixed":
            row["context"] = fixed + row["context"]
        elif case == "shots_per_document":
            row["context"] = shots() + row["context"]
        rows.append(row)
    return rows


# ---- the two sides -------------------------------------------------------------------------------------------------

def our_config(options, case, rows, folder):
    data = folder / "documents.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {"name": case, "splits": {"dev": {"path": str(data)}}, "doc_to_text": "{{context}}"}
    if case.startswith("generate"):
        task |= {"output_type": "generate_until", "doc_to_target": "{{ '' }}x", "until": ["<never>"],
                 "max_gen_toks": NEW_TOKENS}
    else:
        task |= {"doc_to_choice": ["{{choices}}"], "doc_to_target": "{{label}}"}
    config = {"models": {"smollm2": str(ROOT / options.model)}, "task": task, "split": "dev", "threads": 1,
              "bench_repeats": 1, "bench_warmup_repeats": 1}
    path = folder / "score.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    return path


def run_ours(options, path, ranks, threads):
    command = ["taskset", "-c", options.cpus, "mpirun", "-n", str(ranks), "--bind-to", "none",
               str(ROOT / options.build / "breakeven"), "bench", "score", str(path), "--json", "--set",
               f"threads={threads}"]
    for setting in options.set:
        command += ["--set", setting]
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    result = json.loads(done.stdout)["results"][0]
    return result["documents_per_second"], result


class Harness:
    def __init__(self, options):
        import torch
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM
        torch.set_num_threads(len(options.cpus.split(",")))
        self.instance = Instance
        self.model = HFLM(pretrained=str(ROOT / options.model), dtype="float32", device="cpu", batch_size=1)

    def score(self, rows, batch):
        """Documents a second, log-likelihoods."""
        self.model.batch_size_per_gpu = batch
        begin = time.perf_counter()
        requests = [self.instance("loglikelihood", row, (row["context"], " " + choice), i)
                    for row in rows for i, choice in enumerate(row["choices"])]
        found = iter(self.model.loglikelihood(requests, disable_tqdm=True))
        scores = [[next(found)[0] for _ in row["choices"]] for row in rows]
        return len(rows) / (time.perf_counter() - begin), scores

    def generate(self, rows, batch):
        """Documents a second, texts."""
        import torch
        tokenizer, model = self.model.tokenizer, self.model.model
        tokenizer.padding_side, texts = "left", []
        begin = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, len(rows), batch):
                prompts = tokenizer([row["context"] for row in rows[start:start + batch]], return_tensors="pt",
                                    padding=True)
                out = model.generate(**prompts, max_new_tokens=NEW_TOKENS, do_sample=False)
                texts += tokenizer.batch_decode(out[:, prompts["input_ids"].shape[1]:], skip_special_tokens=True)
        return len(rows) / (time.perf_counter() - begin), texts


def peer_subset(options, run, rows, batches):
    """The best batch size on a few documents, and how many documents take about --peer-seconds."""
    speeds = {batch: run(rows[:max(4, min(batch // 2, 8))], batch)[0] for batch in batches}
    best = max(speeds, key=speeds.get)
    return best, max(4, min(len(rows), int(speeds[best] * options.peer_seconds)))


def parity_of(case, ours, theirs):
    if case.startswith("generate"):
        different = sum(a != b for a, b in zip(ours["texts"], theirs))
        # The peer pads a batch on the left, which moves low bits: where two tokens are as likely, texts part.
        agrees = different <= (0 if case.endswith("1") else len(theirs) // 4)
        return agrees, f"{different} of {len(theirs)} texts differ"
    worst = max(abs(a - b) for own, peer in zip(ours["loglikelihoods"], theirs) for a, b in zip(own, peer, strict=True))
    return worst <= TOLERANCE, f"largest difference of a log-likelihood {worst:.1e} (limit {TOLERANCE:g})"


def run_case(options, case, harness, folder):
    generates = case.startswith("generate")
    batch = int(case.rsplit("_", 1)[1]) if generates else 0
    rows = documents_of(case, 2 * batch if batch > 1 else 8 if generates else options.documents)
    path = our_config(options, case, rows, folder)
    if generates:  # one batch cannot be shared out: one rank with all threads
        ours = lambda: run_ours(options, write_batch(path, batch), 1, len(options.cpus.split(",")))  # noqa: E731
        peer, count, best = (lambda: harness.generate(rows, batch)), len(rows), batch
        peer()
    else:
        best, count = peer_subset(options, harness.score, rows, [1, 4, 16])
        ours = lambda: run_ours(options, path, len(options.cpus.split(",")), 1)  # noqa: E731
        peer = lambda: harness.score(rows[:count], best)  # noqa: E731
    pairs = []
    for number in range(options.pairs):
        turns = {}
        for side in (ours, peer) if number % 2 == 0 else (peer, ours):
            turns[side] = side()
        (own_speed, own), (peer_speed, theirs) = turns[ours], turns[peer]
        if number == 0:
            agrees, text = parity_of(case, own, theirs)
            print(f"{case}: {text}: {'agree' if agrees else 'DISAGREE'}; {own['request_tokens']} tokens one by one, "
                  f"{own['fed_tokens']} fed; the peer: batch {best}, {count} documents", flush=True)
        pairs.append(({"seconds": 1 / own_speed}, {"seconds": 1 / peer_speed}))
        print(f"    pair {number + 1}: ours {own_speed:.2f} documents/s, peer {peer_speed:.2f}, ratio "
              f"{own_speed / peer_speed:.2f}", flush=True)
    return {"case": case, "target": CASES[case], "agrees": agrees, "parity": text, "peer_batch": best,
            "ratio": abba.ratio(pairs, "seconds"), "pairs": pairs,
            "ours": statistics.median(1 / own["seconds"] for own, _ in pairs),
            "peer": statistics.median(1 / theirs["seconds"] for _, theirs in pairs)}


def write_batch(path, batch):
    """The config with at most `batch` prompts a generation batch."""
    config = json.loads(path.read_text())
    config["generation_batch"] = batch
    path.write_text(json.dumps(config))
    return path


def table(results):
    lines = ["| case | ours documents/s | peer documents/s | ratio [95 % CI] | target |", "|---|---|---|---|---|"]
    for r in results:
        ratio = r["ratio"]
        lines.append(f"| {r['case']} | {r['ours']:.2f} | {r['peer']:.2f} | {ratio['median']:.2f} [{ratio['low']:.2f}, "
                     f"{ratio['high']:.2f}] | >= {r['target']}: "
                     f"{'met' if ratio['median'] >= r['target'] else 'MISSED'} |")
    return "\n".join(lines)


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def main():
    options = arguments()
    os.sched_setaffinity(0, map(int, options.cpus.split(",")))
    harness = Harness(options)
    results = []
    for case in options.cases.split(","):
        with tempfile.TemporaryDirectory(prefix="breakeven_scoring_") as folder:
            results.append(run_case(options, case, harness, Path(folder)))
    print(f"\n{table(results)}\n\nCPU: {cpu_model()}, cores {options.cpus}; no ratio counts where scores disagree")
    if options.json:
        Path(options.json).write_text(json.dumps({"format": 1, "cpu": cpu_model(), "results": results}, indent=1))
    return 0 if all(r["agrees"] for r in results) else 1


sys.exit(main())
