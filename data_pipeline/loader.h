// Fills this rank's micro-batches ahead of the training loop, in a thread of its own.
#ifndef BREAKEVEN_DATA_PIPELINE_LOADER_H_
#define BREAKEVEN_DATA_PIPELINE_LOADER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data_pipeline/epoch_plan.h"
#include "data_pipeline/micro_batch.h"
#include "data_pipeline/token_dataset.h"

namespace breakeven {

// The next step to run: what a checkpoint stores.
struct StepCursor {
  int64_t epoch = 0;
  int64_t step = 0;  // within the epoch
  bool operator==(const StepCursor&) const = default;
};

// The cursor after `cursor`: the next step, or the first of the next epoch.
StepCursor NextCursor(const EpochPlanner& planner, StepCursor cursor);

// One micro-batch and the piece of memory that its spans point into: tokens, positions and targets
// (int64[T] each), then loss_weight (float[T]).
struct LoadedMicroBatch {
  MicroBatch batch;
  std::shared_ptr<void> memory;
};

struct LoadedStep {
  StepPlan plan;
  StepCursor next;                              // to store when this step is done
  std::vector<LoadedMicroBatch> micro_batches;  // this rank's: plan.micro_batches[rank]
};

struct LoaderOptions {
  int rank = 0;
  StepCursor start;
  int64_t num_steps = 0;     // to deliver, over as many epochs as it takes
  int64_t queued_steps = 2;  // filled ahead, at least 1
  bool drop_tails = false;   // DropTails of every micro-batch
};

// One consumer. `dataset` and `planner` outlive it.
class Loader {
 public:
  Loader(const TokenDataset& dataset, const EpochPlanner& planner, const LoaderOptions& options);
  ~Loader();  // Stop()
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The next step, in order; nullopt after the last. Blocks until it is filled. Throws what the
  // loader's thread threw (Error(kBadData) of a damaged block), after the steps before it were
  // delivered, and again at every later call.
  std::optional<LoadedStep> Next();
  // Ends the thread and joins it; Next() returns nullopt from then on. May be called again.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_LOADER_H_
