"""A task, a tokenizer and a model small enough that no test waits for a real one; random weights, deterministic texts."""

import json

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


def study_in(own, config):
    """dev and test with enough documents to choose and decide by, their texts not train's, and study.yaml."""
    write_jsonl(own / "dev.jsonl", documents(24, 100))
    write_jsonl(own / "test.jsonl", documents(36, 200))
    own.study = own.write("study.yaml", config.format(own.folder))
    return own
