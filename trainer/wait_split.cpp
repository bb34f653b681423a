// Pure.
#include "trainer/wait_split.h"

#include <cmath>
#include <span>

namespace breakeven {
namespace {

int64_t Nanoseconds(double seconds) { return std::llround(1e9 * seconds); }
double Seconds(double nanoseconds) { return 1e-9 * nanoseconds; }

// In one number, so that the least of all ranks says whose it is; to the microsecond.
constexpr int64_t kMostRanks = int64_t{1} << 20;
int64_t StayOfRank(int64_t nanoseconds, int rank) { return nanoseconds / 1000 * kMostRanks + rank; }

}  // namespace

std::vector<WaitSplit> SplitWaits(Control& control, const std::vector<StepWaits>& steps) {
  std::vector<int64_t> shortest;  // per step: of each collective, and of all together with its rank
  std::vector<int64_t> sums;      // per step: in collectives, for input
  for (const StepWaits& step : steps) {
    int64_t own = 0;
    for (const double wait : step.collectives) {
      shortest.push_back(Nanoseconds(wait));
      own += shortest.back();
    }
    shortest.push_back(StayOfRank(own, control.rank()));
    sums.push_back(own);
    sums.push_back(Nanoseconds(step.input));
  }
  control.AllReduce(std::span<int64_t>(shortest), ReduceOp::kMin);
  control.AllReduce(std::span<int64_t>(sums), ReduceOp::kSum);
  const auto world_size = static_cast<double>(control.world_size());
  std::vector<WaitSplit> splits;
  size_t next = 0;
  for (size_t s = 0; s < steps.size(); ++s) {
    int64_t exposed = 0;
    for (size_t i = 0; i < steps[s].collectives.size(); ++i) exposed += shortest[next++];
    const auto latest = static_cast<int>(shortest[next++] % kMostRanks);
    const double mean = static_cast<double>(sums[2 * s]) / world_size;
    splits.push_back({.exposed_communication = Seconds(static_cast<double>(exposed)),
                      .skew = Seconds(mean - static_cast<double>(exposed)),
                      .input = Seconds(static_cast<double>(sums[2 * s + 1]) / world_size),
                      .latest_rank = latest});
  }
  return splits;
}

}  // namespace breakeven
