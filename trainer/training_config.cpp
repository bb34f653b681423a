// Pure. Names, helps, limits and rules of `breakeven train`'s config.
#include "trainer/training_config.h"

#include <string>

#include "comm/base/error.h"

namespace breakeven {
namespace {

// A field that may change between a run and its resume without changing what is learned: paths,
// threads, logging.
FieldInfo Unhashed(std::string_view name, std::string_view help, FieldLimits limits = {}) {
  return {name, help, std::move(limits), false};
}

[[noreturn]] void Refuse(const std::string& message) { throw Error(ErrorKind::kUsage, message); }

}  // namespace

void ModelSourceConfig::VisitFields(FieldVisitor& v) {
  v.Visit(Unhashed("path", "Hugging Face model folder to start from"), path);
  v.Visit(Unhashed("config", "config.json to train from scratch, initialised from `seed`"), config);
  v.Visit(Unhashed("tokenizer",
                   "folder with tokenizer.json, copied into checkpoints; empty = model.path"),
          tokenizer);
}

void ModelSourceConfig::Validate() const {
  if (path.empty() && config.empty()) {
    Refuse(
        "model.path: empty, and so is model.config. Give model.path (a Hugging Face folder) to "
        "fine-tune, or "
        "model.config (a config.json) to train from scratch.");
  }
  if (!path.empty() && !config.empty()) {
    Refuse("model.path: \"" + path + "\" and model.config: \"" + config +
           "\" are both given. Keep model.path to fine-tune its weights, or model.config to train "
           "from scratch.");
  }
}

void OptimizerConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"learning_rate", "largest learning rate of the schedule", Above(0)}, learning_rate);
  FieldLimits beta = Between(0, 0.999999999);
  v.Visit({"beta1", "AdamW: decay of the mean of gradients", beta}, beta1);
  v.Visit({"beta2", "AdamW: decay of the mean of squared gradients", beta}, beta2);
  v.Visit({"epsilon", "AdamW: added to the root of the second moment", Above(0)}, epsilon);
  v.Visit({"weight_decay", "decoupled weight decay; never on norms and biases", AtLeast(0)},
          weight_decay);
  v.Visit({"max_grad_norm", "clip the global gradient norm to this; 0 = never", AtLeast(0)},
          max_grad_norm);
  v.Visit(
      Unhashed("shard",
               "ZeRO-1: every rank keeps the moments of its part of the weights only and updates "
               "that part; the same results. null: where several ranks compute on the CPUs of one "
               "node and share the run folder (`scale`: never)"),
      shard);
}

void ScheduleConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"kind", "shape of the learning rate after warm-up",
           OneOf({"constant", "linear", "cosine", "warmup_stable_decay"})},
          kind);
  v.Visit({"warmup_steps", "steps of linear warm-up from 0", AtLeast(0)}, warmup_steps);
  v.Visit({"warmup_ratio", "warm-up as a share of all steps, used when warmup_steps is 0",
           Between(0, 1)},
          warmup_ratio);
  v.Visit({"min_ratio", "last learning rate as a share of the largest", Between(0, 1)}, min_ratio);
  v.Visit({"decay_ratio", "warmup_stable_decay: share of all steps that decays", Between(0, 1)},
          decay_ratio);
}

void ScheduleConfig::CheckSteps(int64_t total_steps) const {
  if (kind != "warmup_stable_decay" || warmup_steps == 0) return;
  const auto total = static_cast<double>(total_steps);
  const double decay = decay_ratio * total;
  if (static_cast<double>(warmup_steps) + decay <= total * (1 + 1e-9)) return;
  Refuse("schedule.decay_ratio: " + std::to_string(decay_ratio) + " of " +
         std::to_string(total_steps) +
         " steps and schedule.warmup_steps: " + std::to_string(warmup_steps) +
         " are together more than all steps. Make one of them smaller.");
}

void CheckpointConfig::VisitFields(FieldVisitor& v) {
  v.Visit(Unhashed("every_steps", "steps between checkpoints; 0 = only at the end", AtLeast(0)),
          every_steps);
  v.Visit(
      Unhashed("every_minutes", "also when this many minutes have passed; 0 = never", AtLeast(0)),
      every_minutes);
  v.Visit(Unhashed("keep_last", "how many of the newest checkpoints stay on disk", AtLeast(1)),
          keep_last);
  v.Visit(Unhashed("keep_best", "also keep the checkpoint with the lowest validation loss"),
          keep_best);
  v.Visit(Unhashed("asynchronous",
                   "training goes on while a copy of weights and moments is written: 12 bytes a "
                   "parameter more over the ranks, from the first save in the middle of a run on"),
          asynchronous);
}

void ValidationConfig::VisitFields(FieldVisitor& v) {
  v.Visit(Unhashed("data", "dev dataset (HDF5 or index); empty = no validation"), data);
  v.Visit(Unhashed("every_steps", "steps between validations; 0 = at the end of each epoch",
                   AtLeast(0)),
          every_steps);
  v.Visit({"early_stopping_patience",
           "stop after this many validations without a lower loss; 0 = off", AtLeast(0)},
          early_stopping_patience);
}

void TrainConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"model", "where the weights come from"}, model);
  v.Visit(Unhashed("data", "train dataset: an HDF5 file of `breakeven prepare`, or an index",
                   Required()),
          data);
  v.Visit(Unhashed("output", "run folder: checkpoints, metrics, log", Required()), output);
  v.Visit({"seed", "order of examples and, from scratch, initial weights", AtLeast(0)}, seed);
  v.Visit(
      {"epochs", "passes over the data, may be a fraction; ignored when max_steps > 0", Above(0)},
      epochs);
  v.Visit({"max_steps", "optimizer steps; 0 = as many as `epochs` needs", AtLeast(0)}, max_steps);
  v.Visit({"batching", "how examples become steps and micro-batches"}, batching);
  v.Visit({"optimizer", "AdamW"}, optimizer);
  v.Visit({"schedule", "learning rate over steps"}, schedule);
  v.Visit({"validation", "loss on held-out examples during training"}, validation);
  v.Visit(Unhashed("checkpoint", "when to save and what to keep"), checkpoint);
  device.VisitFields(v);
  v.Visit(Unhashed("deterministic",
                   "GPUs: the same command gives the same bits again, at some cost in speed; CPUs "
                   "always do"),
          deterministic);
  v.Visit(Unhashed(
              "precision",
              "type of matrix products and of what goes between them; weights, gradients, moments "
              "and sums stay float32. auto = bfloat16 on CPUs with AVX512-BF16 or AMX and on GPUs, "
              "else float32; a resumed run keeps what it had",
              OneOf({"auto", "float32", "bfloat16"})),
          precision);
  v.Visit(Unhashed("force_bfloat16",
                   "precision: bfloat16 also where it is emulated, about 16 times slower than "
                   "float32"),
          force_bfloat16);
  v.Visit(
      Unhashed("resume",
               "auto = from the run folder's newest checkpoint, none = start anew, or a folder"),
      resume);
  v.Visit(
      Unhashed("bucket_bytes", "largest gradient bucket of an all-reduce, in bytes", AtLeast(4096)),
      bucket_bytes);
  v.Visit(Unhashed("last_bucket_bytes",
                   "size of the bucket that is reduced last, when no backward is left to hide it; "
                   "sizes double from it to bucket_bytes",
                   AtLeast(4096)),
          last_bucket_bytes);
  v.Visit(
      Unhashed("activation_checkpointing",
               "what backward computes again instead of keeping it, to the same bits: selective = "
               "outputs of norms and activations (a third of the memory, little time), full = all "
               "but the stream between blocks (most of the memory, a third more time)",
               OneOf({"none", "selective", "full"})),
      activation_checkpointing);
  v.Visit(Unhashed("communicate",
                   "false: ranks exchange nothing, to measure what exchanging costs; `bench step` "
                   "only, train refuses it"),
          communicate);
  v.Visit(Unhashed("log_every_steps", "steps between lines of the log", AtLeast(1)),
          log_every_steps);
  v.Visit({"max_nonfinite_steps", "skipped steps in a row after which the run ends", AtLeast(1)},
          max_nonfinite_steps);
  v.Visit({"loss_spikes", "a loss far above those before it"}, loss_spikes);
  v.Visit(Unhashed("check_replicas_every_steps",
                   "steps between comparisons of the weights' hash over ranks; 0 = only at the "
                   "start and at every save. Ranks that share one copy have nothing to compare",
                   AtLeast(0)),
          check_replicas_every_steps);
  v.Visit(Unhashed("comm", "how ranks exchange gradients"), comm);
  v.Visit(Unhashed("watchdog", "ends a job that hangs and names the rank that holds it up"),
          watchdog);
  v.Visit(Unhashed("preflight", "what is looked at before the first step"), preflight);
  v.Visit(
      Unhashed("threads", "threads per rank; 0 = its CPUs divided among the ranks that share them",
               AtLeast(0)),
      threads);
  v.Visit(Unhashed("prompt_eval", "scores the base model and the checkpoints after training"),
          prompt_eval);
}

void TrainConfig::Validate() const {
  model.Validate();
  batching.Validate();
  if (data.empty()) Refuse("data: empty. Give the train dataset that `breakeven prepare` wrote.");
  if (output.empty()) Refuse("output: empty. Give the folder that the run shall write.");
  if (resume.empty()) Refuse("resume: empty. Allowed: auto, none, or a checkpoint folder.");
  if (validation.data.empty()) {
    if (validation.every_steps > 0) {
      Refuse("validation.every_steps: " + std::to_string(validation.every_steps) +
             " needs validation.data, which is empty. Give the dev dataset or set it to 0.");
    }
    if (validation.early_stopping_patience > 0) {
      Refuse("validation.early_stopping_patience: " +
             std::to_string(validation.early_stopping_patience) +
             " needs validation.data, which is empty. Give the dev dataset or set it to 0.");
    }
  }
  if (max_steps > 0 && schedule.warmup_steps > max_steps) {
    Refuse("schedule.warmup_steps: " + std::to_string(schedule.warmup_steps) +
           " is more than max_steps: " + std::to_string(max_steps) + ".");
  }
  if (max_steps > 0) schedule.CheckSteps(max_steps);
  if (schedule.kind == "warmup_stable_decay" && schedule.warmup_steps == 0 &&
      schedule.warmup_ratio + schedule.decay_ratio > 1) {
    Refuse("schedule.decay_ratio: " + std::to_string(schedule.decay_ratio) +
           " and schedule.warmup_ratio: " + std::to_string(schedule.warmup_ratio) +
           " are together more than 1.");
  }
  if (prompt_eval.has_value()) {
    EvalConfig eval = *prompt_eval;  // its models and output are filled in after training
    if (eval.models.empty()) eval.models["model"] = output;
    if (eval.output.empty()) eval.output = output;
    eval.Validate();
    if (model.path.empty() && model.tokenizer.empty()) {
      Refuse(
          "model.tokenizer: empty, and prompt_eval needs one to score the checkpoints. Give the "
          "folder with the tokenizer.json that made the data.");
    }
  }
}

}  // namespace breakeven
