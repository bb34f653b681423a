"""What saving costs a training of SmolLM2, and how long it takes to its first step, beside transformers' Trainer.

    .venv/bin/python tests/bench/peers/checkpoint.py [--rounds 2] [--periods 2] [--json FILE] [--cpus 0,1]

Ours: `mpirun -n 2 breakeven train`, one thread a rank; the peer: one process with two threads. Whole processes take turns
on the same cores: ours, peer; peer, ours; … Every step is the same work (rows of 256 tokens). Both save weights and AdamW's
moments, 1.6 GB, every PERIOD steps and keep two.

* extra seconds of a save: the intervals between steps from the save to the last that it can touch, less as many
  intervals of those behind, in the same process. Whatever a writing thread takes from training is in it.
* stall: for how long ours stood still (stall_seconds of its log). The peer stands still all the time.
* start-up: from the start of the processes to the end of the first step.

Both file systems' caches are used as they come: ours calls fsync on every file and folder and reads all back, the Trainer
does neither. Medians over saves; nothing is judged here.
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


def measure(options, name, data, folder):
    """Runs one process to the end of its last period; when each step was done, on the monotonic clock."""
    folder.mkdir()
    steps = PERIOD * (options.periods + 2) - 1
    begin = time.monotonic()
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
    result = {"name": name, "start_up": stamps[0] - begin, "extra": extras, "step": statistics.median(intervals)}
    if name == "ours":
        events = abba.read_jsonl(folder / "ours" / "metrics.jsonl")
        saves = [event for event in events if event["event"] == "checkpoint"]
        result |= {"stall": [save["stall_seconds"] for save in saves], "save": [save["seconds"] for save in saves]}
    return result


def main():
    options = arguments()
    options.user_set = options.set
    runs = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        data, _ = training.write_datasets(options, folder)["dense"]
        for number in range(options.rounds):
            for who in ("ours", "peer") if number % 2 == 0 else ("peer", "ours"):
                runs.append(measure(options, who, data, folder / f"{number}{who}"))
                print(json.dumps(runs[-1]), flush=True)
                training.shutil.rmtree(folder / f"{number}{who}")
    of = lambda who, key: [value for run in runs if run["name"] == who for value in  # noqa: E731
                           (run[key] if isinstance(run[key], list) else [run[key]])]
    extra = {who: statistics.median(of(who, "extra")) for who in ("ours", "peer")}
    stall = statistics.median(of("ours", "stall"))
    start_up = {who: statistics.median(of(who, "start_up")) for who in ("ours", "peer")}
    print(f"extra seconds of a save: ours {extra['ours']:.2f}, peer {extra['peer']:.2f}: "
          f"{100 * extra['ours'] / extra['peer']:.0f} % (goal: at most 25 %)")
    print(f"stall of ours: {stall:.3f} s: {100 * stall / extra['peer']:.0f} % of the peer's save (goal: at most 10 %); "
          f"until it is whole on disk {statistics.median(of('ours', 'save')):.1f} s")
    print(f"start to the end of the first step: ours {start_up['ours']:.2f} s, peer {start_up['peer']:.2f} s: "
          f"{start_up['peer'] / start_up['ours']:.1f} times (goal: at least 5)")
    if options.json:
        Path(options.json).write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
