// Pure. A workload's step on a cluster, with its constants in the middle of their ranges or drawn from them.
#ifndef BREAKEVEN_TRAINER_SCALING_CLUSTER_STEP_H_
#define BREAKEVEN_TRAINER_SCALING_CLUSTER_STEP_H_

#include <cstdint>
#include <string>

#include "trainer/scaling/forecast.h"
#include "trainer/scaling/step_schedule.h"

namespace breakeven {

// What is not known exactly.
struct Constants {
  double mfu = 0.4;
  double latency = 1;  // times the cluster's
  double bandwidth = 1;
  double interference = 0;
  double pace_spread = 0;
  double compute = 1;   // times what was measured
  double exchange = 1;  // likewise
};

struct StepSettings {
  bool shard = false;
  int64_t bucket_bytes = kDefaultBucketBytes;
  int64_t last_bucket_bytes = kDefaultLastBucketBytes;
  int64_t accumulation = 1;
};

class ClusterStep {
 public:
  // All must outlive this.
  ClusterStep(const ForecastConfig& config, const std::string& cluster, const std::string& workload,
              const ForecastBasis& basis);

  const ClusterConfig& cluster() const { return cluster_; }
  Constants Middle() const;
  Constants Draw(uint64_t draw) const;

  // Of a rank and step.
  double Tokens(const StepSettings& settings) const;
  StepTime Step(const StepSettings& settings, const Constants& constants, int64_t world_size) const;
  StepSchedule Schedule(const StepSettings& settings, const Constants& constants,
                        int64_t world_size) const;
  Fabric FabricOf(const Constants& constants) const;
  Topology TopologyOf(int64_t world_size) const;
  // Every link that so many ranks need was measured or is stated.
  bool Knows(int64_t world_size) const;
  std::string ExchangeOrigin() const;  // Forecast::exchange
  // Steps of `strong_tokens` against one rank's, which does them in micro-batches; NaN: less than a token for a rank.
  double StrongSpeedUp(const Constants& constants, int64_t world_size) const;
  bool MayAccumulate(const StepSettings& settings, int64_t world_size) const;
  // Weights, gradients, moments, and what backward needs of a micro-batch: 34 bytes a token, layer and element of the hidden
  // size (Korthikanti et al. 2022, without attention's own).
  double MemoryBytes(const StepSettings& settings, int64_t world_size) const;

 private:
  double ComputeSeconds(double tokens, const Constants& constants, int64_t world_size) const;
  StepSchedule ScheduleOf(double tokens, const StepSettings& settings, const Constants& constants,
                          int64_t world_size) const;

  const ClusterConfig& cluster_;
  const WorkloadConfig& workload_;
  const ModelConfig& model_;
  const ForecastBasis& basis_;
  const ComputeLaw* law_ = nullptr;        // measured
  const ExchangeLaw* exchange_ = nullptr;  // likewise
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_CLUSTER_STEP_H_
