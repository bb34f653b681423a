// Pure. The global plan: which examples make up which step, who computes them, in which micro-batches. Every rank computes
// the same plan from example sizes and a seed, with no collective. What a step contains depends on neither the number of
// ranks nor the micro-batch.
#ifndef BREAKEVEN_DATA_PIPELINE_EPOCH_PLAN_H_
#define BREAKEVEN_DATA_PIPELINE_EPOCH_PLAN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "comm/base/fields.h"

namespace breakeven {

struct GlobalBatchConfig {
  int64_t examples = 0;  // exactly one of the two is > 0
  int64_t tokens = 0;
  void VisitFields(FieldVisitor& v);
};

struct BatchingConfig {
  GlobalBatchConfig global_batch;
  int64_t micro_batch_tokens = 4096;  // upper bound; a longer example stands alone
  int64_t micro_batch_examples = 0;   // upper bound; 0 = none
  bool shuffle = true;
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// Sizes of example i. Functions, so that 10⁹ examples need no array.
struct ExampleSizes {
  int64_t num_examples = 0;
  std::function<int64_t(int64_t)> num_tokens;
  std::function<int64_t(int64_t)> num_targets;
};

struct StepPlan {
  int64_t epoch = 0;
  int64_t step = 0;  // within the epoch
  int64_t global_tokens = 0;
  int64_t global_target_tokens = 0;  // divides the loss on every rank
  std::vector<int64_t> examples;     // all of the step, in plan order
  // micro_batches[rank] = that rank's share; every rank has at least one, an empty one when it has no example.
  std::vector<std::vector<std::vector<int64_t>>> micro_batches;
};

class EpochPlanner {
 public:
  EpochPlanner(ExampleSizes sizes, const BatchingConfig& config, uint64_t seed, int world_size);
  ~EpochPlanner();

  // The last step of an epoch may be smaller; no example is dropped or repeated within an epoch.
  int64_t num_steps(int64_t epoch) const;
  StepPlan Plan(int64_t epoch,
                int64_t step) const;  // O(block) memory; sequential calls are O(step)

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Evaluation order (validation loss): all examples once, unshuffled, whole micro-batches dealt to ranks, so that the
// micro-batches themselves do not depend on the number of ranks. Returns the list of all micro-batches.
std::vector<std::vector<int64_t>> PlanOnePass(const ExampleSizes& sizes,
                                              int64_t micro_batch_tokens);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_EPOCH_PLAN_H_
