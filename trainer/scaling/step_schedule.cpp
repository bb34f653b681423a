// Pure.
#include "trainer/scaling/step_schedule.h"

#include <algorithm>
#include <cmath>

#include "trainer/optim/bucket_plan.h"

namespace breakeven {

std::vector<ScheduledBucket> ScheduleBuckets(const ModelConfig& model,
                                             const BucketScheduleOptions& options) {
  const int64_t table = model.vocab_size * model.hidden_size;
  const int64_t rest = model.num_parameters() - table;
  const double bytes = options.gradient_bytes;
  const auto elements = [&](int64_t n) {
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(n) / bytes));
  };
  const BucketSizes sizes = {elements(options.bucket_bytes), elements(options.last_bucket_bytes),
                             1};
  const bool table_first = options.table_first && model.tied_head;
  std::vector<ScheduledBucket> others, of_table;
  for (const FlatRange& range : PlanBuckets(rest + table, sizes)) {
    const double size = bytes * static_cast<double>(range.size());
    const double done =
        static_cast<double>(std::max<int64_t>(0, rest - range.begin)) / static_cast<double>(rest);
    if (range.end <= rest) {
      others.push_back({size, done});
    } else {
      of_table.push_back({size, table_first ? done : 1.0});
    }
  }
  std::vector<ScheduledBucket>& first = table_first ? of_table : others;
  const std::vector<ScheduledBucket>& last = table_first ? others : of_table;
  first.insert(first.end(), last.begin(), last.end());
  return first;
}

StepTime PredictStep(const StepSchedule& schedule, const Fabric& fabric, const Topology& topology) {
  const double compute = schedule.forward_seconds + schedule.backward_seconds;
  const double part = schedule.shard ? 0.5 : 1;
  StepTime time;
  double end = 0;
  double gather = 0;
  double bytes = -1;
  double seconds = 0;
  for (const ScheduledBucket& bucket : schedule.buckets) {
    if (bucket.bytes != bytes) seconds = AllReduceSeconds(fabric, topology, bucket.bytes);
    bytes = bucket.bytes;
    time.communication_seconds += seconds;
    gather += (1 - part) * seconds;
    const double ready = schedule.forward_seconds + schedule.backward_seconds * bucket.ready;
    end = std::max(end, ready) + part * seconds;
  }
  time.exposed_communication_seconds =
      (schedule.overlapped ? std::max(0.0, end - compute) : part * time.communication_seconds);
  time.exposed_communication_seconds += gather;
  time.step_seconds = compute + time.exposed_communication_seconds + schedule.update_seconds;
  return time;
}

double StragglerFactor(int64_t world_size) {
  return std::sqrt(2 * std::log(static_cast<double>(world_size)));
}

}  // namespace breakeven
