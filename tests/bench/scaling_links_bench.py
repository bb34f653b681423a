"""`breakeven scale` over cables of known rates: two nodes on this machine whose link tc slows down (it cannot delay it).

    .venv/bin/python tests/bench/scaling_links_bench.py --data TRAIN.h5 [--tokenizer FOLDER] [--output FOLDER] [--rates 250,1000,4000]
                                                        [--repeats 2] [--small] [--build build/release]

Two models from random weights, two batch sizes, one rank on each node, a network of the sweep for each rate in Mbit/s. The nodes are
network namespaces (tests/support/nodes.py; root). Printed is the sweep's own report: what a step takes over each link, and how well a
fit that has not seen a cell predicts it. Without --data a tiny data set is made. Both nodes share the machine's CPUs, so `cores` is
1: a node has one CPU. Given again with the same --output it goes on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import nodes  # noqa: E402
from program import environment  # noqa: E402
from tiny import Tiny  # noqa: E402


def models(folder, vocabulary, small):
    """config.json files: the repository's small Llama, and one of half its width."""
    base = json.loads((ROOT / "configs" / "models" / "llama_20m.json").read_text())
    base["vocab_size"] = vocabulary
    half = {**base, "hidden_size": 128, "intermediate_size": 352, "num_attention_heads": 2, "num_key_value_heads": 2}
    made = {}
    for name, config in {"wide": base, "half": half}.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(config))
        made[name] = path
    return {"half": made["half"]} if small else made


def sweep_config(args, folder, data, tokenizer, vocabulary, networks):
    return {
        "title": "Two nodes over slowed links",
        "output": str(args.output or folder / "out"),
        "train": {"data": str(data), "output": "unused", "seed": 1, "threads": 1, "batching": {"micro_batch_tokens": 512}},
        "models": {name: {"config": str(path), "tokenizer": str(tokenizer)} for name, path in models(folder, vocabulary, args.small).items()},
        "scaling": ["strong", "weak"],
        "strong_batch": {"examples": 16},
        "weak_batch": {"examples": 24},
        "world_sizes": [2],
        "backends": ["mpi"],
        "networks": networks,
        "repeats": 1 if args.small else args.repeats,
        "steps": 2 if args.small else 5,
        "warmup_steps": 1,
        "cores": 1,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "models" / "SmolLM2-135M-Instruct")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rates", default="250,1000,4000")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    args = parser.parse_args()
    reason = nodes.missing()
    if reason:
        print(f"not measured: {reason}")
        return 0
    program = args.build.resolve() / "breakeven"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data, tokenizer, vocabulary = args.data, args.tokenizer, 49152
        if data is None:
            tiny = Tiny(folder / "tiny")
            subprocess.run([program, "prepare", tiny.prepare], check=True, env=environment(), cwd=ROOT)
            data, tokenizer, vocabulary = tiny / "tokens" / "train.h5", tiny / "scratch", 320
        links = {}
        try:
            for rate in args.rates.split(",")[: 2 if args.small else None]:
                links[f"link{rate}"] = two = nodes.TwoNodes(folder)
                for node in (0, 1):
                    two.slow(node, f"{rate}mbit", burst="2mb", latency="100ms")
            # TwoNodes says how a job of one rank a node is started; -np and what is behind it are the sweep's.
            networks = {}
            for name, two in links.items():
                words = two.command(1, "true")[:-1]
                at = words.index("-np")
                networks[name] = {"launcher": words[:at] + words[at + 2 :], "ranks_per_node": 1}
            config = folder / "sweep.json"
            config.write_text(json.dumps(sweep_config(args, folder, data, tokenizer, vocabulary, networks)))
            return subprocess.run([program, "scale", config], env=environment(), cwd=ROOT).returncode
        finally:
            for two in links.values():
                two.close()


if __name__ == "__main__":
    sys.exit(main())
