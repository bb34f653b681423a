// Pure. The bucket schedule of a training step, and how long the step takes on a fabric.
//
// Bucket i is ready at r_i = forward + backward · f_i; one stream of collectives: e_i = max(r_i, e_{i−1}) + T(S_i). The step
// ends at max(forward + backward, e_m) + update. Sharded (ZeRO-1), buckets are reduce-scattered, which is half of an
// all-reduce, and behind the update the weights are gathered in the open, the other half.
#ifndef BREAKEVEN_TRAINER_SCALING_STEP_SCHEDULE_H_
#define BREAKEVEN_TRAINER_SCALING_STEP_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "trainer/model/model_config.h"
#include "trainer/optim/bucket_plan.h"
#include "trainer/scaling/collective_cost.h"

namespace breakeven {

struct ScheduledBucket {
  double bytes = 0;
  double ready = 0;  // share of backward's work that is done when its gradients are complete
};

struct StepSchedule {
  double forward_seconds = 0;
  double backward_seconds = 0;  // of the last micro-batch: earlier ones are in forward_seconds
  double update_seconds = 0;
  std::vector<ScheduledBucket> buckets;  // in order of launch
  bool overlapped =
      true;  // collectives run beside backward; false: backward stands still meanwhile
  bool shard = false;
};

struct BucketScheduleOptions {
  int64_t bucket_bytes = kDefaultBucketBytes;
  int64_t last_bucket_bytes = kDefaultLastBucketBytes;
  double gradient_bytes = 4;  // of a parameter
  // A tied token table is reduced before backward, its lookups' rows apart (CPU ranks); else last.
  bool table_first = true;
};
// Buckets as trainer/optim/gradient_buckets.h cuts them, in the order in which it launches them; a block's gradients take
// backward time in proportion to its parameters.
std::vector<ScheduledBucket> ScheduleBuckets(const ModelConfig& model,
                                             const BucketScheduleOptions& options);

struct StepTime {
  double step_seconds = 0;
  double exposed_communication_seconds = 0;  // that nothing hides
  double communication_seconds = 0;
};
StepTime PredictStep(const StepSchedule& schedule, const Fabric& fabric, const Topology& topology);

// Expected largest of n normal draws in standard deviations, √(2 ln n): what the slowest of n ranks adds.
double StragglerFactor(int64_t world_size);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_STEP_SCHEDULE_H_
