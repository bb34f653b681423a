"""The program from outside: what the system tests share. A tiny random model and tokenizer are made in a minute's
fraction, so that no test waits for a real one."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BREAKEVEN_BUILD", ROOT / "build" / "release"))
BREAKEVEN = BUILD / "breakeven"


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    def messages(self):
        """What the program said went wrong, one entry a message: 'error: usage: …'."""
        return re.findall(r"^(?:\[rank \d+\] )?error: .*$", self.err, re.MULTILINE)

    def json(self):
        return json.loads(self.out)


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "BREAKEVEN_FAULT"))}
    env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


def execute(command, timeout, cwd, env=None):
    done = subprocess.run(
        [part if isinstance(part, bytes) else str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**environment(), **(env or {})},
        stdin=subprocess.DEVNULL,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def mpirun(ranks):
    return ["mpirun", "-n", ranks, "--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]


def run(*arguments, ranks=0, timeout=120, cwd=ROOT, env=None, program=None):
    """`ranks` 0: without mpirun."""
    prefix = mpirun(ranks) if ranks else []
    return execute([*prefix, program or BREAKEVEN, *arguments], timeout, cwd, env)


def run_apart(first, second, timeout=60, cwds=(ROOT, ROOT)):
    """Two ranks with a command line and a working directory each: what a badly installed cluster looks like."""
    one = ["-n", 1, "--wdir", cwds[0], BREAKEVEN, *first]
    two = ["-n", 1, "--wdir", cwds[1], BREAKEVEN, *second]
    return execute([*mpirun(1)[:1], *mpirun(1)[3:], *one, ":", *two], timeout, ROOT)


WORDS = {
    "red": ["apple", "cherry", "rose", "brick"],
    "green": ["grass", "leaf", "frog", "moss"],
    "blue": ["sky", "sea", "ink", "jay"],
}


def documents(count, start=0):
    """Which colour is a thing? Ragged texts, deterministic."""
    colours = list(WORDS)
    for i in range(start, start + count):
        colour = colours[i % 3]
        thing = WORDS[colour][i // 3 % 4]
        yield {"id": f"d{i}", "thing": f"{thing} {'very ' * (i % 5)}number {i}", "colour": colour}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_tokenizer(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([json.dumps(row) for row in documents(200)], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "bos_token": None})
    )


TINY_LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "initializer_range": 0.08,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
}

TASK = """
name: colours
splits:
  train: {{path: {0}/train.jsonl}}
  dev: {{path: {0}/dev.jsonl}}
  test: {{path: {0}/test.jsonl}}
id_field: id
output_type: multiple_choice
doc_to_text: "Thing: {{{{ thing }}}}\\nColour:"
doc_to_target: "{{{{ colour }}}}"
doc_to_choice: [red, green, blue]
metrics: [acc, acc_norm]
"""

PREPARE = """
task: task.yaml
prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
tokenizer: {0}/scratch
output: {0}/tokens
splits: [train, dev]
max_tokens: 128
"""

TRAIN = """
model: {{config: {0}/scratch/config.json, tokenizer: {0}/scratch}}
data: {0}/tokens/train.h5
output: {0}/run
seed: 3
max_steps: 6
precision: float32
batching: {{global_batch: {{examples: 8}}, micro_batch_tokens: 128}}
optimizer: {{learning_rate: 5e-3}}
schedule: {{kind: constant}}
log_every_steps: 1
threads: 1
"""

EVAL = """
models: {{tiny: {0}/model}}
task: task.yaml
prompts: variants.yaml
split: dev
output: {0}/eval
threads: 1
"""

VARIANTS = """
variants:
  - name: plain
  - {name: asked, doc_to_text: "What colour is {{ thing }}?\\nColour:"}
  - {name: shots, num_fewshot: 2}
"""


class Tiny:
    """A folder with a tokenizer, a model config, data, task, configs; later tokens/ and model/."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "scratch").mkdir(parents=True)
        make_tokenizer(folder / "scratch")
        (folder / "scratch" / "config.json").write_text(json.dumps(TINY_LLAMA))
        write_jsonl(folder / "train.jsonl", documents(48))
        write_jsonl(folder / "dev.jsonl", documents(17, 100))
        write_jsonl(folder / "test.jsonl", documents(13, 200))
        self.write("task.yaml", TASK.format(folder))
        self.write("variants.yaml", VARIANTS)
        self.prepare = self.write("prepare.yaml", PREPARE.format(folder))
        self.train = self.write("train.yaml", TRAIN.format(folder))
        self.eval = self.write("eval.yaml", EVAL.format(folder))

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def __truediv__(self, name):
        return self.folder / name


@pytest.fixture(scope="session", autouse=True)
def program():
    if not BREAKEVEN.exists():
        pytest.exit(f"{BREAKEVEN} is not built: run ./tests/run.sh, or set BREAKEVEN_BUILD", returncode=2)
    return BREAKEVEN


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Data tokenised, and a model trained for six steps. Read only: copy what you change."""
    tiny = Tiny(tmp_path_factory.mktemp("tiny") / "t")
    result = run("prepare", tiny.prepare)
    assert result.code == 0, result.err
    result = run("train", tiny.train)
    assert result.code == 0, result.err
    checkpoints = tiny / "run" / "checkpoints"
    latest = checkpoints / (checkpoints / "latest").read_text().strip()
    shutil.copytree(latest, tiny / "model")
    return tiny


@pytest.fixture
def tiny(tmp_path):
    """An own folder, nothing prepared yet."""
    return Tiny(tmp_path / "t")


@pytest.fixture
def own(prepared, tmp_path):
    """A copy of `prepared` that a test may damage: configs point into the copy."""
    folder = tmp_path / "own"
    shutil.copytree(prepared.folder, folder)
    copy = object.__new__(Tiny)
    copy.folder = folder
    for name in ("task.yaml", "prepare.yaml", "train.yaml", "eval.yaml"):
        text = (folder / name).read_text().replace(str(prepared.folder), str(folder))
        setattr(copy, name.removesuffix(".yaml"), copy.write(name, text))
    shutil.rmtree(folder / "run")
    return copy
