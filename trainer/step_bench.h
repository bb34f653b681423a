// Pure. `breakeven bench step`: speed of training steps on any training config, by phase. Facade: no
// libtorch.
#ifndef BREAKEVEN_TRAINER_STEP_BENCH_H_
#define BREAKEVEN_TRAINER_STEP_BENCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "comm/base/timing.h"
#include "comm/world.h"
#include "trainer/model/model_config.h"
#include "trainer/training_config.h"

namespace breakeven {

struct StepBenchConfig {
  // Its keys stand at the top level; `output`, `resume`, `validation`, `checkpoint` and `prompt_eval` are not used.
  TrainConfig train;
  int64_t steps = 20;
  int64_t warmup_steps = 3;
  int64_t control_batches = 0;  // after these: done with and without communication
  // What is trained: `train` without what is not used.
  TrainConfig Measured() const;
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// What a step spends its time on, seconds: the mean over ranks of each phase; `step` is the slowest rank's.
struct StepPhases {
  Timing step;           // whole steps
  Timing input;          // waiting for the loader
  Timing forward;        // with the head, the loss and the gradients of both
  Timing backward;       // without the collectives inside it
  Timing communication;  // in collectives, waiting for other ranks included
  Timing update;         // norm's rest, clipping, AdamW, copies for products
};

// The same batches on the same ranks with communication and without, in turns (with, without, without,
// with). Every step begins with all ranks at once.
struct StepControl {
  Timing with;     // seconds of a step of the slowest rank
  Timing without;  // likewise
  // Median over batches of without / with, by the slowest rank of each; with a bootstrap interval of
  // 95 %. Against the mean rank of the steps without, ranks' unequal work counts as well.
  double efficiency = 0;
  double efficiency_low = 0;
  double efficiency_high = 0;
  double efficiency_of_mean_rank = 0;
  double exposed_communication_seconds = 0;  // a step, of those with (wait_split.h)
  double skew_seconds = 0;
};

struct StepBenchReport {
  std::string precision;
  int64_t threads = 0;  // of rank 0
  int64_t tokens = 0;   // of all counted steps, over all ranks
  int64_t target_tokens = 0;
  StepPhases phases;
  double tokens_per_second = 0;        // Σ tokens / Σ seconds of the counted steps
  double loss = 0;                     // mean over the counted steps
  double flops = 0;                    // of all counted steps: StepFlops
  double peak_flops_per_second = 0;    // measured, over all ranks at once: products of matrices of
  int64_t peak_product_size = 1024;    // this many rows and columns
  double mfu = 0;                      // flops / seconds / peak
  int64_t peak_memory_bytes = 0;       // of the largest rank
  int64_t predicted_memory_bytes = 0;  // of a rank, from shapes (memory_estimate.h)
  double exposed_communication_seconds = 0;  // a step, mean (wait_split.h)
  double skew_seconds = 0;
  std::optional<StepControl> control;  // with control_batches
};

// Operations of a step's matrix products: 6 for each weight of a product and token (forward, and two
// products in backward), of the last layer's output and feed-forward products and of the head for rows
// that carry loss only; and 6·H·D·L² for a segment of L tokens and a layer, causal attention's two
// products at half. Element-wise work counts nothing.
double StepFlops(const ModelConfig& model, int64_t tokens, int64_t target_tokens,
                 double sum_of_squared_lengths);

// COLLECTIVE. Trains from `train`'s weights in a run folder of its own that is deleted afterwards.
StepBenchReport MeasureSteps(const StepBenchConfig& config, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STEP_BENCH_H_
