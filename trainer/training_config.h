// Pure. The config of `breakeven train`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_TRAINING_CONFIG_H_
#define BREAKEVEN_TRAINER_TRAINING_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "comm/base/fields.h"
#include "comm/data_plane.h"
#include "comm/device_binding.h"
#include "comm/preflight.h"
#include "comm/watchdog_config.h"
#include "data_pipeline/epoch_plan.h"
#include "trainer/loss_watch.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {

// Where the weights come from: exactly one of the two.
struct ModelSourceConfig {
  std::string path;       // a Hugging Face folder
  std::string config;     // a config.json: from scratch, initialised from `seed`
  std::string tokenizer;  // folder with tokenizer.json; "" = path. Copied into checkpoints
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

struct OptimizerConfig {
  double learning_rate = 5e-5;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;  // decoupled; never on norms and biases
  double max_grad_norm = 1.0;  // 0 = no clipping
  // ZeRO-1: each rank keeps and updates its part of the moments. Absent: several ranks do on the CPUs of one node where all see
  // the run folder.
  std::optional<bool> shard;
  void VisitFields(FieldVisitor& v);
};

struct ScheduleConfig {
  std::string kind = "linear";  // constant | linear | cosine | warmup_stable_decay
  int64_t warmup_steps = 0;
  double warmup_ratio = 0;   // of all steps; used when warmup_steps is 0
  double min_ratio = 0;      // of the learning rate at the end
  double decay_ratio = 0.2;  // warmup_stable_decay: the share of steps that decays
  void VisitFields(FieldVisitor& v);
  // Error(kUsage) where warm-up and decay do not fit into this many steps.
  void CheckSteps(int64_t total_steps) const;
};

struct CheckpointConfig {
  int64_t every_steps = 0;   // 0 = only at the end
  double every_minutes = 0;  // rank 0's clock decides for all
  int64_t keep_last = 2;
  bool keep_best = true;  // lowest validation loss
  // Training goes on while a copy of the state is written; the last save is never so.
  bool asynchronous = true;
  void VisitFields(FieldVisitor& v);
};

struct ValidationConfig {
  std::string data;                     // dev dataset; "" = no validation
  int64_t every_steps = 0;              // 0 = at the end of each epoch
  int64_t early_stopping_patience = 0;  // validations without a lower loss; 0 = off
  void VisitFields(FieldVisitor& v);
};

struct TrainConfig {
  ModelSourceConfig model;
  std::string data;    // train dataset (HDF5 or index)
  std::string output;  // run folder
  int64_t seed = 0;
  double epochs = 1;  // may be a fraction; ignored when max_steps > 0
  int64_t max_steps = 0;
  BatchingConfig batching;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  ValidationConfig validation;
  CheckpointConfig checkpoint;
  DeviceConfig device;             // keys `device` and `allow_shared_gpu`
  bool deterministic = false;      // on GPUs: the same bits again; CPUs always give them
  std::string precision = "auto";  // auto | float32 | bfloat16
  bool force_bfloat16 = false;     // also where it is emulated
  std::string resume =
      "auto";  // auto (the run folder's newest checkpoint, if any) | none | a checkpoint folder
  int64_t bucket_bytes = kDefaultBucketBytes;  // upper bound of a gradient bucket
  int64_t last_bucket_bytes =
      kDefaultLastBucketBytes;                    // of the one launched last; sizes double from it
  std::string activation_checkpointing = "none";  // none | selective | full
  bool communicate = true;                        // false: `bench step` only
  int64_t log_every_steps = 10;
  LossSpikeConfig loss_spikes;
  int64_t max_nonfinite_steps = 10;  // in a row; then the run ends
  int64_t check_replicas_every_steps =
      100;  // the weights' hash over ranks; 0 = at start and saves only
  CommConfig comm;
  WatchdogConfig watchdog;
  PreflightConfig preflight;
  int64_t threads =
      0;  // per rank; 0 = CPUs of the rank's mask divided among the ranks that share it
  std::optional<EvalConfig>
      prompt_eval;  // scores the base model and the saved checkpoints after training
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_CONFIG_H_
