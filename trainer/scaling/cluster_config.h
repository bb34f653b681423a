// Pure. Clusters that a scaling forecast is for, and what it forecasts on them. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_SCALING_CLUSTER_CONFIG_H_
#define BREAKEVEN_TRAINER_SCALING_CLUSTER_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/base/fields.h"

namespace breakeven {

struct LinkConfig {
  double latency_seconds = 0;
  double bytes_per_second = 0;  // of one rank, one way; 0 = not stated
  void VisitFields(FieldVisitor& v);
};

// Everything here is an assumption with a source, none of it is measured by us, but for the exchange where measured_exchange
// says so. Ends of a range are drawn between.
struct ClusterConfig {
  std::string title;
  std::string source;  // where the constants come from
  int64_t ranks_per_node = 8;
  double peak_flops_per_second = 0;  // of a rank's device, dense, in the precision that is used
  double mfu_low = 0.3;  // share of the peak that computing reaches, without communication
  double mfu_high = 0.45;
  double memory_bytes = 0;  // of a device; 0 = not looked at
  double memory_bytes_per_second = 0;
  double launch_seconds = 0;  // of a collective
  LinkConfig in_node;
  LinkConfig between_nodes;
  // "BACKEND on NETWORK", as the fit of the sweep names it: α, β and g of that, where it was measured, stand in place of the
  // links above and of launch_seconds, and all of its time is exposed. Of nccl α and β alone stand there: its collectives run
  // beside backward, as `overlapped` says. Ranks that need a link neither measured nor stated are
  // left out of the forecast.
  std::string measured_exchange;
  double latency_spread = 0.3;     // relative: each latency is drawn within ±
  double bandwidth_spread = 0.15;  // likewise
  double interference_low = 0.02;  // share of a collective's time that it slows computing by
  double interference_high = 0.08;
  double pace_spread_low = 0;  // standard deviation of ranks' compute time, relative
  double pace_spread_high = 0.01;
  bool pipelined = true;
  bool overlapped = true;  // collectives run beside backward
  double price_per_device_hour = 0;
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

struct WorkloadConfig {
  std::string model;           // a config.json
  std::string measured_model;  // of `models`: computing takes what it takes here; "" = by the peak
  int64_t sequence_tokens = 1024;
  int64_t tokens_per_rank = 16384;    // of a micro-batch
  int64_t strong_tokens = 524288;     // of a step, over all ranks, where the global batch is fixed
  int64_t max_step_tokens = 4194304;  // most that accumulation may make a step, over all ranks
  double gradient_bytes = 4;          // sent for a parameter
  bool table_first = false;           // a tied token table is reduced before backward (CPU ranks)
  void VisitFields(FieldVisitor& v);
};

// What others have measured, shown beside the forecast of the same cluster and workload.
struct PublishedConfig {
  std::string cluster;
  std::string workload;
  int64_t world_size = 8;
  double tokens_per_second_per_rank = 0;  // 0 = not published
  int64_t relative_to = 0;                // ranks that `efficiency` is against
  double efficiency = 0;
  std::string source;
  void VisitFields(FieldVisitor& v);
};

struct ForecastConfig {
  std::map<std::string, ClusterConfig> clusters;
  std::map<std::string, WorkloadConfig> workloads;
  std::vector<PublishedConfig> published;
  std::vector<int64_t> world_sizes = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  double paying_efficiency = 0.8;  // ranks pay while a rank is at least this fast of one alone
  double paying_speed_up = 1.2;    // twice the ranks pay while a fixed batch gets this much faster
  int64_t draws = 200;             // of the uncertain constants, for intervals
  std::vector<int64_t> bucket_bytes = {int64_t{1} << 20, int64_t{4} << 20, int64_t{16} << 20,
                                       int64_t{64} << 20, int64_t{256} << 20};
  std::vector<int64_t> accumulation = {1, 2, 4, 8};
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_SCALING_CLUSTER_CONFIG_H_
