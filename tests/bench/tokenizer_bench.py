"""Encode speed of our tokenizer beside Hugging Face `tokenizers`, one thread each, in A B B A order.

    .venv/bin/python tests/bench/tokenizer_bench.py [--text FILE] [--pairs 5] [--build build/release] [--json] [--small]

Text: FILE, else the descriptions in the package catalogue that the quickstart fetched, else generated text. A is our
Encode, one call a line, in a process of its own; B is encode_batch_fast with one thread (no offsets: the fastest way
that `tokenizers` has). Loading and warming are not timed. A figure is the median over the pairs; the ratio is taken
pair by pair, so that a change of clock speed meets both sides.
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

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))

import test_tokenizer as parity  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402


def catalogue_lines():
    """Paragraphs of package descriptions, from the largest list."""
    files = sorted((ROOT / "data").glob("**/*Translation-en"), key=lambda path: path.stat().st_size)
    if not files:
        return None
    lines = [line.strip() for line in files[-1].read_text(encoding="utf-8", errors="replace").split("\n")
             if line.startswith(" ") and len(line) > 40]
    return [" ".join(lines[i:i + 6]) for i in range(0, len(lines), 6)]


def generated_lines():
    rng = random.Random(3)
    words = ["".join(rng.choice("etaoinshrdlucmfwyp") for _ in range(rng.randint(1, 11))) for _ in range(20000)]
    return [" ".join(words[int(rng.paretovariate(0.8)) % len(words)] for _ in range(60)) for _ in range(20000)]


def take(lines, num_bytes):
    kept, total = [], 0
    for line in lines:
        kept.append(line)
        total += len(line.encode()) + 1
        if total >= num_bytes:
            break
    return kept


def ours(tool, folder, path):
    done = subprocess.run([tool, folder, "--bench", path, "2"], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    return answer["seconds"][1], answer["ids"]  # the first round warms the word cache


def theirs(tokenizer, lines):
    start = time.perf_counter()
    encodings = tokenizer.encode_batch_fast(lines)
    return time.perf_counter() - start, sum(len(e) for e in encodings)


def measure(tool, folder, lines, pairs):
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as text:
        text.write("\n".join(lines) + "\n")
        text.flush()
        expected = theirs(tokenizer, lines)[1]
        a, b = [], []
        for pair in range(pairs):
            for side in ("ab", "ba")[pair % 2]:
                seconds, num_ids = ours(tool, folder, text.name) if side == "a" else theirs(tokenizer, lines)
                (a if side == "a" else b).append(seconds)
                assert num_ids == expected, "the two sides do not do the same work"
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    ratios = [y / x for x, y in zip(a, b)]
    return {"megabytes": round(megabytes, 2), "ids": expected, "ours_mb_per_s": round(megabytes / statistics.median(a), 1),
            "theirs_mb_per_s": round(megabytes / statistics.median(b), 1), "ratio": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2), "ratio_max": round(max(ratios), 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--build", default=os.environ.get("BREAKEVEN_BUILD", "build/release"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, rougher figures")
    options = parser.parse_args()
    if options.small:
        options.pairs, options.megabytes = 2, 1
    tool = str(ROOT / options.build / "tests" / "tokenize_tool")
    if options.text:
        lines = Path(options.text).read_text(encoding="utf-8").splitlines()
    else:
        lines = catalogue_lines() or generated_lines()
    lines = take([line for line in lines if line], options.megabytes * 1e6)
    mixed = [text.replace("\n", " ").replace("\r", " ") for text in parity.strings(3000 if options.small else 20000, "bench")]
    results = {}
    if (parity.SMOLLM2 / "tokenizer.json").exists():
        results["SmolLM2, text"] = measure(tool, str(parity.SMOLLM2), lines, options.pairs)
        results["SmolLM2, every script mixed"] = measure(tool, str(parity.SMOLLM2), mixed, options.pairs)
    for name in ("llama3", "qwen2_nfc", "smollm2_digits", "o200k"):
        with tempfile.TemporaryDirectory() as folder:
            parity.CASES[name]().save(str(Path(folder) / "tokenizer.json"))
            results[f"trained {name}, text"] = measure(tool, folder, lines, options.pairs)
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'':32} {'MB':>6} {'ours MB/s':>10} {'theirs MB/s':>12} {'ratio':>7}  (min .. max)")
    for name, r in results.items():
        print(f"{name:32} {r['megabytes']:6.1f} {r['ours_mb_per_s']:10.1f} {r['theirs_mb_per_s']:12.1f} {r['ratio']:7.1f}"
              f"  ({r['ratio_min']} .. {r['ratio_max']})")


if __name__ == "__main__":
    main()
