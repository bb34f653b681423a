"""One process of the peer: transformers' Trainer on examples of a token dataset, in the order they stand in it.

    [RANK=… WORLD_SIZE=… LOCAL_RANK=… MASTER_ADDR=… MASTER_PORT=…] \\
    python hf_trainer.py --model FOLDER --data train.h5 --global-batch 16 --steps 100 --log rank0.jsonl [--bf16] …

Each line of the log is one optimizer step: {"step", "loss"}; written when the step is done. Everything that is no
option here is the Trainer's default (SDPA and fused AdamW are). Used by training.py and checkpoint.py.
"""

import argparse
import json
import os
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--global-batch", type=int, required=True, help="examples of a step, over all ranks")
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--log", required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--learning-rate", type=float, default=5e-5)
parser.add_argument("--bf16", action="store_true", help="the Trainer's own bf16: autocast over float32 weights")
parser.add_argument("--save-every", type=int, default=0, help="steps between checkpoints, the newest two kept; 0: none")
parser.add_argument("--compile", action="store_true", help="torch.compile with dynamic shapes")
args = parser.parse_args()

os.environ["OMP_NUM_THREADS"] = str(args.threads)

import h5py  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments)

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(args.threads)
world_size = int(os.environ.get("WORLD_SIZE", "1"))


class Examples(torch.utils.data.Dataset):
    """Token ids; labels are -100 outside the target spans."""

    def __init__(self, path):
        with h5py.File(path) as file:
            tokens, offsets = file["tokens"][:], file["example_offsets"][:]
            spans, span_offsets = file["target_spans"][:], file["target_span_offsets"][:]
        self.rows = []
        for i in range(len(offsets) - 1):
            ids = tokens[int(offsets[i]):int(offsets[i + 1])].astype("int64").tolist()
            labels = [-100] * len(ids)
            for begin, end in spans[int(span_offsets[i]):int(span_offsets[i + 1])].tolist():
                labels[begin:end] = ids[begin:end]
            self.rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class RecordingTrainer(Trainer):
    """Keeps the loss of the last training_step as it is: the Trainer's log rounds it."""

    def training_step(self, *arguments, **keywords):
        self.last_loss = super().training_step(*arguments, **keywords)
        return self.last_loss


class StepLog(TrainerCallback):
    def __init__(self, path):
        self.file = open(path, "w", buffering=1)
        self.trainer = None
        self.begin = 0

    def on_step_begin(self, arguments, state, control, **keywords):
        self.begin = time.monotonic()

    def on_step_end(self, arguments, state, control, **keywords):
        print(json.dumps({"step": state.global_step, "loss": float(self.trainer.last_loss),
                          "step_seconds": time.monotonic() - self.begin}), file=self.file)


def main():
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    assert args.global_batch % world_size == 0, "the Trainer wants equal batches on every rank"
    log = StepLog(args.log)
    trainer = RecordingTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.log + ".output", use_cpu=True, ddp_backend="gloo" if world_size > 1 else None,
            per_device_train_batch_size=args.global_batch // world_size, max_steps=args.steps,
            learning_rate=args.learning_rate, lr_scheduler_type="constant", weight_decay=0.01, bf16=args.bf16,
            torch_compile=args.compile, train_sampling_strategy="sequential", report_to=[],
            **({"save_strategy": "steps", "save_steps": args.save_every, "save_total_limit": 2} if args.save_every
               else {"save_strategy": "no"}),
            disable_tqdm=True, seed=1),
        train_dataset=Examples(args.data), callbacks=[log],
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=None))
    log.trainer = trainer
    trainer.train()


main()
