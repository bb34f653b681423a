"""Says whether two runs had the same losses to rounding: compare_losses.py RUN RUN."""

import json
import pathlib
import sys

TOLERANCE = 1e-4  # float32, sums in another order


def losses(folder):
    lines = [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "step"]


def main():
    expected, found = (losses(folder) for folder in sys.argv[1:3])
    if not expected or len(expected) != len(found):
        sys.exit(f"{len(expected)} steps and {len(found)}")
    worst = max(abs(a - b) / abs(a) for a, b in zip(expected, found))
    print(f"{sys.argv[2]}: largest relative difference of the loss over {len(found)} steps: {worst:.2e}")
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
