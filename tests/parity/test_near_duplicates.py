"""`breakeven prepare` finds near duplicates by MinHash; here every pair is compared, and both must count the same documents.

Needs the built program (BREAKEVEN_BUILD, default build/release).
"""

import json
import random
import re
import subprocess

import pytest
from program import BREAKEVEN as PROGRAM, ROOT


CONFIG = """
task:
  name: texts
  splits: {{train: {{path: {0}/train.jsonl}}, test: {{path: {0}/test.jsonl}}}}
  output_type: generate_until
  doc_to_text: "{{{{ question }}}} Answer:"
  doc_to_target: answer
prompt: {{end_of_target: "<|endoftext|>"}}
tokenizer: {0}/tokenizer
output: {0}/tokens
max_tokens: 4096
overlap: {{near_similarity: {1}, max_near_share: 1}}
"""


def make_tokenizer(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir()
    alphabet = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))


def shingles(row):
    """Runs of three words of what a model is trained on, each once."""
    words = re.findall(r"[^\W_]+", f"{row['question']} Answer: {row['answer']}<|endoftext|>".lower())
    length = min(3, len(words))
    return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}


def near(train, test, similarity):
    """Lines of test that are near one of train but not equal to any, by comparing all pairs."""
    mine = [shingles(row) for row in test]
    others = [shingles(row) for row in train]
    everything = mine + others
    counts = {}
    for text in everything:
        for shingle in text:
            counts[shingle] = counts.get(shingle, 0) + 1
    common = {shingle for shingle, count in counts.items() if 2 * count > len(everything)}
    equal = {(row["question"], row["answer"]) for row in train}
    found = []
    for line, (row, text) in enumerate(zip(test, mine), 1):
        if (row["question"], row["answer"]) in equal:
            continue
        text = text - common
        for other in others:
            other = other - common
            if text and other and len(text & other) / len(text | other) >= similarity:
                found.append(line)
                break
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """400 train and 200 test documents of 5 to 80 words; half of test are train documents with words changed, dropped or
    put in, in one case without any change."""
    folder = tmp_path_factory.mktemp("near")
    make_tokenizer(folder / "tokenizer")
    dice = random.Random(1)
    vocabulary = [f"word{i}" for i in range(3000)] + ["größer", "снег", "눈이", "l'été"]
    train = [
        {"question": " ".join(dice.choices(vocabulary, k=dice.randint(5, 80))), "answer": dice.choice(vocabulary)}
        for _ in range(400)
    ]
    test = []
    for i in range(200):
        if i % 2:
            test.append({"question": " ".join(dice.choices(vocabulary, k=dice.randint(5, 80))), "answer": "yes"})
            continue
        words = train[i]["question"].split()
        for _ in range(i // 2 % 6):
            place = dice.randrange(len(words))
            words[place : place + dice.randint(0, 1)] = dice.choices(vocabulary, k=dice.randint(0, 1))
            words = words or ["empty"]
        test.append({"question": " ".join(words), "answer": train[i]["answer"]})
    for name, rows in (("train", train), ("test", test)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder, train, test


@pytest.mark.parametrize("similarity", [0.7, 0.8, 0.9])
def test_minhash_counts_what_comparing_all_pairs_counts(corpus, similarity):
    folder, train, test = corpus
    config = folder / f"prepare_{similarity}.yaml"
    config.write_text(CONFIG.format(folder, similarity))
    done = subprocess.run([PROGRAM, "prepare", config, "--json"], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    # What stands in train as it is in test was taken out of train before.
    left = [row for row in train if row not in test]
    expected = near(left, test, similarity)
    assert 5 < len(expected) < 100, expected
    warnings = [w for w in report["warnings"] if "nearly equal to one in 'train'" in w]
    assert len(warnings) == 1, report["warnings"]
    assert warnings[0].startswith(f"{len(expected)} of 200 documents of 'test'"), (warnings, len(expected))
    listed = [int(pair.split(" and ")[0]) for pair in warnings[0].split("on lines ")[1].split(";")[0].split(", ")]
    assert listed == expected[:5]
