#!/usr/bin/env python3
"""Makes a Korean question-answering data set from the PyPI package chatterbot-corpus (BSD licence).

    python3 launch/fetch_korean_qa.py --output data/korean_qa

Reads the Korean conversations of the installed package (pip fetches it into the output folder where it is not installed).
Writes train.jsonl, dev.jsonl and test.jsonl of {"id", "question", "answer", "choices"}: `choices` are the answer and three
answers to other questions of the same split, in an order drawn from the question. A question is in one split only, chosen by
its hash, however many answers it has: scored on what was trained, any model would look good. Same package, same bytes.
"""

import argparse
import hashlib
import json
import pathlib
import re
import subprocess
import sys

PACKAGE = "chatterbot-corpus==1.2.2"
SPLITS = (("train", 0.60), ("dev", 0.15), ("test", 0.25))
NUM_CHOICES = 4


def fetch(folder: pathlib.Path) -> pathlib.Path:
    """The folder with the Korean YAML files."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "package"), PACKAGE]
    if not (folder / "package").exists():
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"error: {' '.join(command)} failed:\n{result.stderr}")
    found = sorted((folder / "package").glob("**/korean/*.yml"))
    if not found:
        sys.exit(f"error: no korean/*.yml in {folder / 'package'}; is {PACKAGE} another layout now?")
    return found[0].parent


def draw(*words) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(map(str, words)).encode()).digest()[:8], "big")


def normalised(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def read_pairs(folder: pathlib.Path) -> list[tuple[str, str]]:
    import yaml

    pairs = {}
    for path in sorted(folder.glob("*.yml")):
        for turns in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
            texts = [re.sub(r"\s+", " ", str(turn)).strip() for turn in turns]
            for question, answer in zip(texts, texts[1:]):
                key = (normalised(question), normalised(answer))
                if all(key) and key[0] != key[1]:
                    pairs.setdefault(key, (question, answer))
    return list(pairs.values())


def split_of(question: str) -> str:
    at = draw("split", normalised(question)) / 2**64
    for name, share in SPLITS:
        at -= share
        if at < 0:
            return name
    return SPLITS[-1][0]


def with_choices(rows: list[tuple[str, str]]) -> list[dict]:
    """Wrong answers are answers of the same split to other questions, never one that is right for this question too."""
    right = {}
    for question, answer in rows:
        right.setdefault(normalised(question), set()).add(normalised(answer))
    pool = sorted({normalised(answer): answer for _, answer in rows}.items())
    documents = []
    for question, answer in rows:
        others = [text for key, text in pool if key not in right[normalised(question)]]
        others.sort(key=lambda text: draw("choice", question, answer, text))
        choices = sorted([answer, *others[: NUM_CHOICES - 1]], key=lambda text: draw("order", question, answer, text))
        name = hashlib.sha256(f"{question}\0{answer}".encode()).hexdigest()[:12]
        documents.append({"id": name, "question": question, "answer": answer, "choices": choices})
    return sorted(documents, key=lambda row: row["id"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the .jsonl files")
    parser.add_argument("--corpus", type=pathlib.Path, help="folder of Korean .yml files; instead of fetching the package")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    pairs = read_pairs(arguments.corpus or fetch(arguments.output))
    counts = []
    for split, _ in SPLITS:
        rows = with_choices([pair for pair in pairs if split_of(pair[0]) == split])
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        partial = arguments.output / f"{split}.jsonl.partial"
        partial.write_text(lines, encoding="utf-8")
        partial.rename(arguments.output / f"{split}.jsonl")
        counts.append(f"{split} {len(rows)}")
    print(f"wrote {', '.join(counts)} pairs to {arguments.output}")


if __name__ == "__main__":
    main()
