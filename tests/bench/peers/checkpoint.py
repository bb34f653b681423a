"""What saving costs a training of SmolLM2, and how long it takes to its first step, beside transformers' Trainer.

    .venv/bin/python tests/bench/peers/checkpoint.py [--rounds 2] [--periods 2] [--start-ups 5] [--json FILE] [--cpus 0,1]

Ours: `mpirun -n 2 breakeven train`, one thread a rank; the peer: one process with two threads. Whole processes take turns
on the same cores: ours, peer; peer, ours; … Every step is the same work (rows of 256 tokens). Both save weights and AdamW's
moments, 1.6 GB, every PERIOD steps and keep two.

* extra seconds of a save: the intervals between steps from the save to the last that it can touch, less as many
  intervals of those behind, in the same process. Whatever a writing thread takes from training is in it.
* stall: for how long ours stood still (stall_seconds of its log). The peer stands still all the time.
* start-up: from the start of the processes to the beginning of the first step; and to its end. Of runs of their own, in
  turns, --start-ups of each.

Ours writes past the page cache, calls fsync on every file and folder and reads all back from the disk; the Trainer writes
into the page cache and does neither. Medians over saves; nothing is judged here.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import abba  # noqa: E402
import training  # noqa: E402

PERIOD = 16  # steps between saves
TOUCHED = 10  # steps behind a save that it may touch
ROWS = 4  # a step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--periods", type=int, default=2, help="saves of a process that count; one before is warm-up")
    parser.add_argument("--start-ups", type=int, default=5)
    parser.add_argument("--cpus", default="0,1")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct")
    parser.add_argument("--data", default="data/catalogue/tokens/train.h5")
    parser.add_argument("--scratch", help="folder for the runs, on the disk to be measured")
    parser.add_argument("--json", help="also write everything that was measured to this file")
    parser.add_argument("--set", action="append", default=[], help="key=value for our config")
    return parser.parse_args()


def start(options, name, data, folder):
    case = {"batch": ROWS, "environment": {}}
    if name == "ours":
        options.set = [f"checkpoint.every_steps={PERIOD}", *options.user_set]
        return training.our_job(options, case, data, folder)
    return training.peer_job(options, case, data, folder, "1x2", ["--save-every", str(PERIOD)])


def step_seconds(name, folder):
    """Of the first step, as the process measured it."""
    if name == "ours":
        steps = [event for event in abba.read_jsonl(folder / "ours" / "metrics.jsonl") if event["event"] == "step"]
    else:
        steps = abba.read_jsonl(folder / "peer0.jsonl")
    return steps[0]["step_seconds"] - steps[0].get("input_wait_seconds", 0)  # the Trainer's step begins behind its input


def start_up(options, name, data, folder):
    """Seconds to the beginning and to the end of the first step."""
    folder.mkdir()
    begin = time.monotonic()
    job = start(options, name, data, folder)
    try:
        job.wait_for_step(1)
        end = time.monotonic() - begin
    finally:
        job.end()
    return {"name": name, "to_step": end - step_seconds(name, folder), "to_step_end": end}


def measure(options, name, data, folder):
    """Runs one process to the end of its last period; when each step was done, on the monotonic clock."""
    folder.mkdir()
    steps = PERIOD * (options.periods + 2) - 1
    job = start(options, name, data, folder)
    try:
        stamps = []
        while len(stamps) < steps:
            job.wait_for_step(len(stamps) + 1)
            stamps += [time.monotonic()] * (len(job.read_steps()) - len(stamps))
    finally:
        job.end()
    intervals = [after - before for before, after in zip(stamps, stamps[1:])]  # [i]: of step i + 2
    extras = []
    for save in range(2 * PERIOD, steps, PERIOD):  # the first save also makes room
        touched, rest = intervals[save - 1:save - 1 + TOUCHED], intervals[save - 1 + TOUCHED:save - 1 + PERIOD - 1]
        extras.append(sum(touched) - TOUCHED * statistics.fmean(rest))
    result = {"name": name, "extra": extras, "step": statistics.median(intervals)}
    if name == "ours":
        events = abba.read_jsonl(folder / "ours" / "metrics.jsonl")
        saves = [event for event in events if event["event"] == "checkpoint"]
        result |= {"stall": [save["stall_seconds"] for save in saves], "save": [save["seconds"] for save in saves]}
    return result


def values(runs, who, key):
    of_runs = [run[key] for run in runs if run["name"] == who and key in run]
    return [value for found in of_runs for value in (found if isinstance(found, list) else [found])]


def report(runs):
    median = {(who, key): statistics.median(found) for who in ("ours", "peer")
              for key in ("to_step", "to_step_end", "extra", "stall", "save") if (found := values(runs, who, key))}
    if ("ours", "to_step") in median:
        for key, what in (("to_step", "beginning"), ("to_step_end", "end")):
            ours, peer = median["ours", key], median["peer", key]
            spread = " ".join(f"{a:.1f}/{b:.1f}" for a, b in zip(values(runs, "ours", key), values(runs, "peer", key)))
            print(f"start to the {what} of the first step: ours {ours:.2f} s, peer {peer:.2f} s: {peer / ours:.1f} times "
                  f"(each: {spread})" + (" (goal: at least 5)" if key == "to_step" else ""))
    if ("ours", "extra") in median:
        ours, peer, stall = median["ours", "extra"], median["peer", "extra"], median["ours", "stall"]
        print(f"extra seconds of a save: ours {ours:.2f}, peer {peer:.2f}: {100 * ours / peer:.0f} % (goal: at most 25 %)")
        print(f"stall of ours: {stall:.3f} s: {100 * stall / peer:.0f} % of the peer's save (goal: at most 10 %); until it "
              f"is whole on disk {median['ours', 'save']:.1f} s")


def main():
    options = arguments()
    options.user_set = options.set
    runs = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        data, _ = training.write_datasets(options, folder)["dense"]
        for count, of_one in ((options.start_ups, start_up), (options.rounds, measure)):
            for number in range(count):
                for who in ("ours", "peer") if number % 2 == 0 else ("peer", "ours"):
                    runs.append(of_one(options, who, data, folder / f"{number}{who}"))
                    print(json.dumps(runs[-1]), flush=True)
                    training.shutil.rmtree(folder / f"{number}{who}")
    report(runs)
    if options.json:
        Path(options.json).write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
