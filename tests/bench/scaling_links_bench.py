"""`breakeven scale` over cables of known rates: two to four nodes on this machine whose links tc slows down (it cannot delay them).

    .venv/bin/python tests/bench/scaling_links_bench.py --data TRAIN.h5 [--tokenizer FOLDER] [--output FOLDER] [--rates 250,1000,4000]
                                                        [--nodes 4] [--repeats 2] [--small] [--build build/release]

Two models from random weights, two batch sizes, one rank on each node, on two nodes and on all, a network of the sweep for each rate in
Mbit/s. The nodes are network namespaces (tests/support/nodes.py; root). Printed is the sweep's own report: what a step takes over each
link, how well a fit that has not seen a cell predicts it, and what the exchange as measured would do with more nodes. Without --data a
tiny data set is made. All nodes share the machine's CPUs (nodes_per_machine): more nodes than CPUs are oversubscribed, and their cells
counted apart. With two CPUs that leaves 2 models x 2 batches x 3 rates = 12 cells to leave out one by one. Given again with the same
--output it goes on.
"""

import argparse
import json
import os
import shutil
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


def forecast(models, networks):
    """Each network with more nodes: nothing stated but the spread of ranks' pace."""
    return {
        "clusters": {name: {"title": f"one-CPU nodes, exchange as measured on {name}", "source": "measured here; the spread of ranks' pace is an estimate",
                            "measured_exchange": f"mpi on {name}", "ranks_per_node": 1, "overlapped": False} for name in networks},
        "workloads": {name: {"model": str(path), "measured_model": name, "sequence_tokens": 64, "tokens_per_rank": 2048, "strong_tokens": 16384,
                             "table_first": True} for name, path in models.items()},
        "world_sizes": [1, 2, 4, 8, 16],
    }  # fmt: skip


def sweep_config(args, folder, data, tokenizer, vocabulary, networks):
    made = models(folder, vocabulary, args.small)
    return {
        "title": f"{args.nodes} nodes over slowed links",
        "output": str(args.output.resolve() if args.output else folder / "out"),
        "train": {"data": str(data), "output": "unused", "seed": 1, "threads": 1, "batching": {"micro_batch_tokens": 512}},
        "models": {name: {"config": str(path), "tokenizer": str(tokenizer)} for name, path in made.items()},
        "scaling": ["strong", "weak"],
        "strong_batch": {"examples": 16},
        "weak_batch": {"examples": 24},
        "world_sizes": sorted({2, args.nodes}),
        "backends": ["mpi"],
        "networks": networks,
        "repeats": 1 if args.small else args.repeats,
        "steps": 2 if args.small else 5,
        "warmup_steps": 1,
        "cores": len(os.sched_getaffinity(0)),
        "forecast": forecast(made, networks),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "models" / "SmolLM2-135M-Instruct")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rates", default="250,1000,4000")
    parser.add_argument("--nodes", type=int, choices=(2, 3, 4), default=4)
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
        # What the runs are started with has the same paths when the bench is given again.
        folder = args.output.resolve() / "inputs" if args.output else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        data, tokenizer, vocabulary = args.data, args.tokenizer, 49152
        if data is None:
            tiny = folder / "tiny"
            data, tokenizer, vocabulary = tiny / "tokens" / "train.h5", tiny / "scratch", 320
            if not data.exists():
                shutil.rmtree(tiny, ignore_errors=True)
                subprocess.run([program, "prepare", Tiny(tiny).prepare], check=True, env=environment(), cwd=ROOT)
        links = {}
        try:
            for rate in args.rates.split(",")[: 2 if args.small else None]:
                links[f"link{rate}"] = linked = nodes.Nodes(folder, args.nodes)
                for node in range(args.nodes):
                    linked.slow(node, f"{rate}mbit", burst="2mb", latency="100ms")
            # Nodes says how a job of one rank a node is started; -np and what is behind it are the sweep's.
            networks = {}
            for name, linked in links.items():
                words = linked.command(1, "true")[:-1]
                at = words.index("-np")
                networks[name] = {"launcher": words[:at] + words[at + 2 :], "ranks_per_node": 1, "nodes_per_machine": args.nodes}
            config = folder / "sweep.json"
            config.write_text(json.dumps(sweep_config(args, folder, data, tokenizer, vocabulary, networks)))
            return subprocess.run([program, "scale", config], env=environment(), cwd=ROOT).returncode
        finally:
            for linked in links.values():
                linked.close()


if __name__ == "__main__":
    sys.exit(main())
