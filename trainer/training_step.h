// One optimizer step. Internal to trainer; needs ATen.
#ifndef BREAKEVEN_TRAINER_TRAINING_STEP_H_
#define BREAKEVEN_TRAINER_TRAINING_STEP_H_

#include <cstdint>
#include <vector>

#include "data_pipeline/loader.h"
#include "trainer/model/model.h"
#include "trainer/optim/gradient_buckets.h"
#include "trainer/training_session.h"

namespace breakeven {

// Seconds of a step on this rank, all micro-batches. On a GPU the host's, which only launches and waits
// once, before `update`; the device's own with TrainingSession::exact_phases.
struct StepTimes {
  double forward = 0;   // with the head, its loss, and the gradients of both
  double backward = 0;  // with the collectives in it and those after it
  double update = 0;    // clipping, AdamW, gathering, copies for the products
  // Of update: waits for what shards gather. On a GPU 0 without exact phases: the next step's waits
  // have them.
  double gathering = 0;
};

struct StepResult {
  StepOutcome outcome;
  StepTimes times;
  double learning_rate = 0;
  std::vector<double> waits;  // GradientBuckets::waits
};

// COLLECTIVE. Forward and backward over this rank's micro-batches, all-reduce, clipping, AdamW; or,
// where the loss or the gradient is not finite on any rank, everything but AdamW on all of them.
// `stop`, `checkpoint_due` and `saving` are this rank's word, the outcome has the agreed ones. Does not touch
// session.state.
StepResult RunStep(TrainingSession& session, const LoadedStep& loaded, bool stop,
                   bool checkpoint_due, bool saving = false);

// COLLECTIVE. Σ cross-entropy over the target tokens of the validation data ÷ their number, nats;
// the same bits for any number of ranks with the same threads per rank, because the micro-batches
// are the same and their sums are added in order. NaN when there is no target token.
double ValidationLoss(TrainingSession& session);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_STEP_H_
