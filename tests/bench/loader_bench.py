"""Windows a second out of an HDF5 token dataset: ours by mmap and by H5Dread, h5py, and numpy's memmap beside them.

    .venv/bin/python tests/bench/loader_bench.py [--windows 40000] [--length 1025] [--seconds 1] [--json] [--small]

One file of random tokens, windows of one length in random order, warm page cache, one thread; every reader widens to
int64, as a model wants them. A figure is the median of repeats with its range; readers take turns (A B C D D C B A). The
same windows are read once by all and compared first.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def write(tool, folder, windows, length):
    rng = random.Random(1)
    examples = [{"tokens": [rng.randrange(49152) for _ in range(length)], "targets": [[1, length]], "id": i + 1,
                 "group": i} for i in range(windows)]
    info = {"split": "train", "tokenizer_fingerprint": "0", "template_fingerprint": "0", "vocab_size": 49152,
            "config": "{}", "source_hashes": {}, "counts": {}}
    request = {"write": str(folder), "name": "train", "info": info, "examples": examples}
    done = subprocess.run([tool], input=json.dumps(request) + "\n", capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["path"]


def ours(program, path, reader, seconds, repeats):
    command = [program, "bench", "loader", "--json", "--set", f"data={path}", "--set", f"readers=[{reader}]",
               "--set", "batching.global_batch.examples=16", "--set", f"seconds={seconds}",
               "--set", f"repeats={repeats}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)["results"]
    return next(r["examples_per_second"] for r in results if r["what"] == "random_examples")


def timed(read, windows, seconds):
    rng = random.Random(2)
    order = [rng.randrange(windows) for _ in range(4096)]
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for i in range(64):
            read(order[(count + i) % len(order)])
        count += 64
    return count / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=40000)
    parser.add_argument("--length", type=int, default=1025)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if options.small:
        options.windows, options.seconds, options.repeats = 2000, 0.1, 3
    build = ROOT / options.build
    with tempfile.TemporaryDirectory() as folder:
        path = write(str(build / "tests" / "dataset_tool"), folder, options.windows, options.length)
        with h5py.File(path) as file:
            dataset = file["tokens"]
            mapped = np.memmap(path, dtype="<u2", mode="r", offset=dataset.id.get_offset(), shape=dataset.shape)
            length = options.length
            readers = {
                "ours, mmap": lambda: ours(build / "breakeven", path, "mmap", options.seconds, 1),
                "ours, H5Dread": lambda: ours(build / "breakeven", path, "h5dread", options.seconds, 1),
                "h5py": lambda: timed(lambda i: dataset[i * length:(i + 1) * length].astype(np.int64),
                                      options.windows, options.seconds),
                "numpy memmap": lambda: timed(lambda i: mapped[i * length:(i + 1) * length].astype(np.int64),
                                              options.windows, options.seconds)}
            for window in (0, options.windows // 2, options.windows - 1):
                part = slice(window * length, (window + 1) * length)
                assert (dataset[part] == mapped[part]).all()
            request = {"read": path, "mmap": True}
            done = subprocess.run([str(build / "tests" / "dataset_tool")], input=json.dumps(request) + "\n",
                                  capture_output=True, text=True, check=True)
            first = json.loads(done.stdout)["examples"][0]["tokens"]
            assert first == dataset[:length].tolist(), "readers disagree"
            rates = {name: [] for name in readers}
            for repeat in range(options.repeats):
                for name in (list(readers) if repeat % 2 == 0 else reversed(list(readers))):
                    rates[name].append(readers[name]())
    figures = {name: {"windows_per_second": statistics.median(values), "min": min(values), "max": max(values)}
               for name, values in rates.items()}
    if options.json:
        print(json.dumps({"format": 1, "length": options.length, "results": figures}))
    else:
        print(f"random windows of {options.length} tokens, {options.windows} in the file, one thread\n")
        best = figures["ours, mmap"]["windows_per_second"]
        for name, figure in figures.items():
            rate = figure["windows_per_second"]
            print(f"{name:14} {rate:12,.0f} windows/s  [{figure['min']:,.0f}, {figure['max']:,.0f}]  "
                  f"{1e6 / rate:7.2f} us each, ours by mmap is {best / rate:.1f} times as fast")
    return 0


sys.exit(main())
