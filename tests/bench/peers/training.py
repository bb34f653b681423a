"""Training SmolLM2 beside transformers' Trainer on the same steps: parity of the losses first, then ratios of speed.

    .venv/bin/python tests/bench/peers/training.py [--quick] [--cases NAME,…] [--pairs 15] [--json FILE] [--cpus 0,1]

Ours: `mpirun -n 2 breakeven train`, one thread a rank. The peer: one process with two threads (1x2) and two ranks with
one thread over gloo (2x1); the better of the two counts. Both run the same examples in the same steps (same learning
rate, AdamW, clipping, weight decay), take turns on the same cores (abba.py), and a pair of turns covers the same steps.
tokens/s count tokens of examples, never padding.

| case | what |
|---|---|
| ragged_float32 | supervised examples in shuffled order; the peer as it comes (SDPA and fused AdamW are its defaults) |
| ragged_float32_best | the same examples in the order of its length-grouped sampler, and the peer with glibc's malloc told to keep memory and to use huge pages, and c10's huge pages on |
| ragged_bfloat16_best | that in bfloat16 (the peer: bf16=True) |
| dense_float32, dense_bfloat16 | rows of 256 tokens that all carry loss, 8 a step, with those malloc settings |

Needs build/release with tests (breakeven, tests/dataset_tool), the model and the data of the quickstart. A turn in which
others used more than --foreign of the cores is left out. Exit code 1 when losses disagree.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import abba  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
PYTHON = sys.executable
LEARNING_RATE = 5e-5
DENSE_LENGTH = 256

# What our process does for itself (caching allocator, huge pages), as far as an environment can do it for the peer.
MALLOC = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:"
                      "glibc.malloc.top_pad=67108864:glibc.malloc.hugetlb=1",
    "THP_MEM_ALLOC_ENABLE": "1",
}
CASES = {
    "ragged_float32": {"data": "shuffled", "batch": 16, "environment": {}, "target": 2.4, "turn": 3},
    "ragged_float32_best": {"data": "grouped", "batch": 16, "environment": MALLOC, "target": 1.6, "turn": 3},
    "dense_float32": {"data": "dense", "batch": 8, "environment": MALLOC, "target": 1.35, "turn": 1},
    "ragged_bfloat16_best": {"data": "grouped", "batch": 16, "environment": MALLOC, "target": 1.5, "turn": 6,
                             "bf16": True},
    "dense_bfloat16": {"data": "dense", "batch": 8, "environment": MALLOC, "target": 2.0, "turn": 3, "bf16": True},
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="default: all")
    parser.add_argument("--peers", default="1x2,2x1", help="processes x threads of the peer")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="4 pairs and 8 steps of parity")
    parser.add_argument("--parity-steps", type=int, default=20)
    parser.add_argument("--foreign", type=float, default=0.1)
    parser.add_argument("--cpus", default="0,1")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct")
    parser.add_argument("--data", default="data/catalogue/tokens/train.h5")
    parser.add_argument("--json", help="also write everything that was measured to this file")
    parser.add_argument("--set", action="append", default=[], help="key=value for our config, as breakeven's --set")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.parity_steps = min(options.pairs, 4), min(options.parity_steps, 8)
    return options


# ---- the same examples for both ------------------------------------------------------------------------------------

def read_examples(path):
    import h5py
    with h5py.File(path) as file:
        tokens, offsets = file["tokens"][:], file["example_offsets"][:].astype(int)
        spans, span_offsets = file["target_spans"][:], file["target_span_offsets"][:].astype(int)
        attributes = {key: file.attrs[key] for key in ("tokenizer_fingerprint", "vocab_size")}
    examples = [(tokens[offsets[i]:offsets[i + 1]].tolist(), spans[span_offsets[i]:span_offsets[i + 1]].tolist())
                for i in range(len(offsets) - 1)]
    return examples, attributes


def orders_of(examples, batch):
    """Whole steps of the examples: shuffled, and as the Trainer's length grouping would draw them."""
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler
    generator = torch.Generator().manual_seed(1)
    count = len(examples) // batch * batch
    shuffled = torch.randperm(len(examples), generator=generator).tolist()[:count]
    lengths = [len(examples[i][0]) for i in shuffled]
    sampler = LengthGroupedSampler(batch, lengths=lengths, generator=generator)
    return {"shuffled": [examples[i] for i in shuffled], "grouped": [examples[shuffled[i]] for i in sampler]}


def dense_rows(examples, batch):
    stream = [token for tokens, _ in examples for token in tokens]
    count = len(stream) // DENSE_LENGTH // batch * batch
    return [(stream[i * DENSE_LENGTH:(i + 1) * DENSE_LENGTH], [[1, DENSE_LENGTH]]) for i in range(count)]


def write_datasets(options, folder):
    """{name: (path, tokens of each example)}"""
    examples, attributes = read_examples(ROOT / options.data)
    sets = orders_of(examples, 16) | {"dense": dense_rows(examples, 8)}
    written = {}
    for name, rows in sets.items():
        (folder / name).mkdir()
        text = lambda value: value.decode() if isinstance(value, bytes) else str(value)  # noqa: E731
        request = {"write": str(folder / name), "name": "train",
                   "info": {"split": "train", "tokenizer_fingerprint": text(attributes["tokenizer_fingerprint"]),
                            "template_fingerprint": "0", "vocab_size": int(attributes["vocab_size"]), "config": "{}",
                            "source_hashes": {}, "counts": {}},
                   "examples": [{"tokens": tokens, "targets": spans, "id": i + 1, "group": i}
                                for i, (tokens, spans) in enumerate(rows)]}
        done = subprocess.run([str(ROOT / options.build / "tests" / "dataset_tool")], input=json.dumps(request) + "\n",
                              capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        if "path" not in answer:
            raise SystemExit(f"dataset_tool: {answer}")
        written[name] = (answer["path"], [len(tokens) for tokens, _ in rows])
    return written


# ---- the two jobs --------------------------------------------------------------------------------------------------

def environment_with(extra):
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(("OMP_", "MKL_", "MALLOC_", "GLIBC_TUNABLES", "KMP_"))}
    return environment | extra


def our_job(options, case, data, folder):
    config = {
        "model": {"path": str(ROOT / options.model)}, "data": data, "output": str(folder / "ours"), "max_steps": 100000,
        "batching": {"global_batch": {"examples": case["batch"]}, "shuffle": False},
        "optimizer": {"learning_rate": LEARNING_RATE, "weight_decay": 0.01},
        "schedule": {"kind": "constant"}, "log_every_steps": 1, "threads": 1,
        "precision": "bfloat16" if case.get("bf16") else "float32"}
    path = folder / "ours.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = ["taskset", "-c", options.cpus, "mpirun", "-n", "2", "--bind-to", "none",
               str(ROOT / options.build / "breakeven"), "train", str(path)]
    for setting in options.set:
        command += ["--set", setting]
    environment = environment_with({"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
    metrics = folder / "ours" / "metrics.jsonl"
    return abba.Job("ours", [(command, environment)],
                    lambda: [line["loss"] for line in abba.read_jsonl(metrics) if line["event"] == "step"],
                    folder / "ours.log", is_worker=lambda argv: argv[0].endswith("breakeven"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peer_job(options, case, data, folder, layout, more=()):
    ranks, threads = map(int, layout.split("x"))
    distributed = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    commands, logs = [], [folder / f"peer{rank}.jsonl" for rank in range(ranks)]
    for rank in range(ranks):
        command = ["taskset", "-c", options.cpus, PYTHON, str(Path(__file__).with_name("hf_trainer.py")),
                   "--model", str(ROOT / options.model), "--data", data, "--global-batch", str(case["batch"]),
                   "--steps", "100000", "--log", str(logs[rank]), "--threads", str(threads),
                   "--learning-rate", str(LEARNING_RATE)] + (["--bf16"] if case.get("bf16") else []) + [*more]
        extra = {"RANK": str(rank), "LOCAL_RANK": str(rank), **distributed} if ranks > 1 else {}
        commands.append((command, environment_with(case["environment"] | extra)))

    def losses():  # of the global batch: the Trainer scales each rank's share up by the number of ranks
        by_rank = [[line["loss"] for line in abba.read_jsonl(log)] for log in logs]
        return [statistics.fmean(step) for step in zip(*by_rank)]

    return abba.Job(layout, commands, losses, folder / "peer.log")


# ---- measuring -----------------------------------------------------------------------------------------------------

def parity_of(ours, peer, steps, bf16):
    own, theirs = ours.read_steps()[:steps], peer.read_steps()[:steps]
    worst = max(abs(a - b) / abs(b) for a, b in zip(own, theirs, strict=True))
    mean = abs(statistics.fmean(own) - statistics.fmean(theirs)) / statistics.fmean(theirs)
    limit = 0.03 if bf16 else 1e-4
    agrees = (mean if bf16 else worst) <= limit
    print(f"  losses of {steps} steps: ours {own[0]:.4f} … {own[-1]:.4f}, peer {theirs[0]:.4f} … {theirs[-1]:.4f}; "
          f"largest relative difference {worst:.1e}, of the means {mean:.1e}: "
          f"{'agree' if agrees else 'DISAGREE'} (limit {limit:g} {'of the means' if bf16 else 'in every step'})")
    return {"steps": steps, "largest": worst, "of_means": mean, "agrees": agrees, "ours": own, "peer": theirs}


def tokens_between(lengths, batch, begin, end):
    """Tokens of steps begin+1 … end."""
    return sum(lengths[i % len(lengths)] for i in range(begin * batch, end * batch))


def run_case(options, name, layout, datasets, folder):
    case = CASES[name]
    data, lengths = datasets[case["data"]]
    cpus = [int(cpu) for cpu in options.cpus.split(",")]
    print(f"{name}, peer {layout}", flush=True)
    ours, peer = our_job(options, case, data, folder), None
    try:
        ours.start_up(2)  # the one starts up alone, then the other
        peer = peer_job(options, case, data, folder, layout)
        peer.start_up(2)

        lines = []  # shown behind the parity: without that they say nothing

        def report(number, own, theirs):
            for turn in (own, theirs):  # by tokens: a turn may have ended a step late
                turn["tokens"] = tokens_between(lengths, case["batch"], *turn["steps"])
                turn["seconds_per_token"] = turn["seconds"] / turn["tokens"]
                turn["cpu_seconds_per_token"] = turn["cpu_seconds"] / turn["tokens"]
            lines.append(f"    pair {number + 1:2}: ours {1 / own['seconds_per_token']:7.1f} tokens/s, peer "
                         f"{1 / theirs['seconds_per_token']:7.1f}, ratio "
                         f"{theirs['seconds_per_token'] / own['seconds_per_token']:.2f}, of CPU time "
                         f"{theirs['cpu_seconds_per_token'] / own['cpu_seconds_per_token']:.2f}, others used "
                         f"{max(own['foreign_share'], theirs['foreign_share']):.0%}")
            print(f"    pair {number + 1} of {options.pairs} done", file=sys.stderr, flush=True)

        pairs = abba.pairs_of_turns(ours, peer, options.pairs, case["turn"], cpus, report)
        shared = min(len(ours.read_steps()), len(peer.read_steps()))
        parity = parity_of(ours, peer, min(options.parity_steps, shared), case.get("bf16", False))
        print("\n".join(lines), flush=True)
        kept, left_out, noisy = abba.quiet(pairs, options.foreign)
        speed = [statistics.median(1 / pair[side]["seconds_per_token"] for pair in kept) for side in (0, 1)]
        return {"case": name, "peer": layout, "target": case["target"], "parity": parity, "pairs": pairs,
                "left_out": left_out, "noisy": noisy, "wall": abba.ratio(kept, "seconds_per_token"),
                "cpu": abba.ratio(kept, "cpu_seconds_per_token"),
                "tokens_per_second": {"ours": speed[0], "peer": speed[1]},
                "peak_memory_bytes": {"ours": ours.peak_memory(), "peer": peer.peak_memory()}}
    finally:
        for job in (ours, peer):
            if job is not None:
                job.end()


def table(results):
    header = ("case", "peer", "ours tok/s", "peer tok/s", "ratio [95 % CI]", "CPU-time ratio", "target", "peak GB",
              "pairs")
    rows = []
    for result in results:
        best = max((r for r in results if r["case"] == result["case"]), key=lambda r: r["tokens_per_second"]["peer"])
        wall, cpu, memory = result["wall"], result["cpu"], result["peak_memory_bytes"]
        target = ""
        if result is best:
            met = "met" if wall["median"] >= result["target"] else "MISSED"
            target = f">= {result['target']}: {'NOISY, says nothing' if result['noisy'] else met}"
        rows.append((result["case"], result["peer"], f"{result['tokens_per_second']['ours']:.0f}",
                     f"{result['tokens_per_second']['peer']:.0f}",
                     f"{wall['median']:.2f} [{wall['low']:.2f}, {wall['high']:.2f}]",
                     f"{cpu['median']:.2f} [{cpu['low']:.2f}, {cpu['high']:.2f}]", target,
                     f"{sum(memory['ours']) / 1e9:.1f} / {sum(memory['peer']) / 1e9:.1f}",
                     f"{wall['pairs']}" + (f" ({result['left_out']} {'disturbed' if result['noisy'] else 'left out'})" if result["left_out"] else "")))
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"  # noqa: E731
    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the jobs are ended
    folder = Path(tempfile.mkdtemp(prefix="breakeven_peers_"))
    results = []
    try:
        datasets = write_datasets(options, folder)
        for name in options.cases.split(","):
            for layout in options.peers.split(","):
                work = folder / f"{name}_{layout}"
                work.mkdir()
                results.append(run_case(options, name, layout, datasets, work))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nlosses agree: {sum(r['parity']['agrees'] for r in results)} of {len(results)}; no ratio counts where they "
          f"do not\n\n{table(results)}\n\nCPU: {cpu_model()}, cores {options.cpus}; the target stands beside the better "
          "layout of the peer; peak GB: sum over the processes, ours / peer")
    if options.json:
        Path(options.json).write_text(json.dumps({"format": 1, "cpu": cpu_model(), "results": results}, indent=1))
    return 0 if all(r["parity"]["agrees"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
