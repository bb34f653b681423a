// Pure. What ranks tell each other in a step.
#ifndef BREAKEVEN_TRAINER_OPTIM_STEP_REPORT_H_
#define BREAKEVEN_TRAINER_OPTIM_STEP_REPORT_H_

#include "trainer/optim/bucket_plan.h"

namespace breakeven {

// What one rank has to tell the others in a step. It rides in the last message of the step's
// reduction, so that all ranks agree within the step at no collective of its own.
struct StepReport {
  bool stop = false;            // a signal asks to save and end
  bool nonfinite = false;       // this rank's loss is NaN or infinite
  bool checkpoint_due = false;  // rank 0's clock; other ranks leave it false
  bool saving = false;          // this rank still writes its part of a checkpoint
  double loss = 0;              // this rank's share: its Σ cross-entropy / global target tokens
};

// The same, agreed: the same bits on every rank.
struct StepOutcome {
  bool stop = false;
  bool checkpoint_due = false;
  bool saving = false;   // some rank still writes
  double loss = 0;       // of the step, nats per target token; summed in float32, in order of rank
  double grad_norm = 0;  // of the reduced gradient, before clipping
  bool finite = true;    // false: the step must be skipped, on all ranks alike
};

// The report's elements. Unsharded they stand in front of the gradient, where the last bucket lies.
enum ReportElement {
  kStop = 0,
  kNonfinite = 1,
  kCheckpointDue = 2,
  kSaving = 3,
  kLoss = 4,
  kNumReported = 5
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_OPTIM_STEP_REPORT_H_
