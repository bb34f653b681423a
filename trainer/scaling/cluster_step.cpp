// Pure.
#include "trainer/scaling/cluster_step.h"

#include <algorithm>
#include <cmath>

#include "comm/base/random.h"
#include "trainer/step_bench.h"

namespace breakeven {
namespace {

constexpr uint64_t kSeed = 1;
constexpr double kUpdateBytes =
    30;  // AdamW: weight, gradient, moments read; weight, moments, bf16 copy written
constexpr double kBackwardShare = 2.0 / 3;  // of a micro-batch's operations

bool WasMeasured(const ExchangeLaw& law, const LinkCost& link) {
  return law.TellsLinks() && link.seconds_per_byte > 0;
}

uint64_t DrawStream() { return static_cast<uint64_t>(RandomStream::kBootstrap); }

}  // namespace

ClusterStep::ClusterStep(const ForecastConfig& config, const std::string& cluster,
                         const std::string& workload, const ForecastBasis& basis)
    : cluster_(config.clusters.at(cluster)),
      workload_(config.workloads.at(workload)),
      model_(basis.models.at(workload)),
      basis_(basis) {
  if (!workload_.measured_model.empty()) law_ = &basis.measured.at(workload);
  if (!cluster_.measured_exchange.empty())
    exchange_ = &basis.exchange.at(cluster_.measured_exchange);
}

Constants ClusterStep::Middle() const {
  Constants middle;
  middle.mfu = (cluster_.mfu_low + cluster_.mfu_high) / 2;
  middle.interference = (cluster_.interference_low + cluster_.interference_high) / 2;
  middle.pace_spread = (cluster_.pace_spread_low + cluster_.pace_spread_high) / 2;
  return middle;
}

Constants ClusterStep::Draw(uint64_t draw) const {
  uint64_t index = 8 * draw;
  const auto between = [&](double low, double high) {
    return low + (high - low) * RandomUniform(kSeed, DrawStream(), index++);
  };
  Constants drawn;
  drawn.mfu = between(cluster_.mfu_low, cluster_.mfu_high);
  drawn.latency = between(1 - cluster_.latency_spread, 1 + cluster_.latency_spread);
  drawn.bandwidth = between(1 - cluster_.bandwidth_spread, 1 + cluster_.bandwidth_spread);
  drawn.interference = between(cluster_.interference_low, cluster_.interference_high);
  drawn.pace_spread = between(cluster_.pace_spread_low, cluster_.pace_spread_high);
  // The median of |x| of a normal x is 0.6745 of its standard deviation.
  const auto off_by = [&](double median) {
    return std::exp(median / 0.6745 * RandomNormal(kSeed, DrawStream(), index++));
  };
  drawn.compute = off_by(basis_.model_error);
  // Most of a measured step is computing: how well steps are predicted says little of their exchange.
  const auto alone = basis_.exchange_error.find(cluster_.measured_exchange);
  drawn.exchange =
      off_by(alone == basis_.exchange_error.end() ? basis_.model_error : alone->second);
  return drawn;
}

double ClusterStep::Tokens(const StepSettings& settings) const {
  return static_cast<double>(workload_.tokens_per_rank * settings.accumulation);
}

Fabric ClusterStep::FabricOf(const Constants& constants) const {
  const auto stated = [&](const LinkConfig& link, double ranks) {
    if (link.bytes_per_second <= 0) return LinkCost{};
    return LinkCost{link.latency_seconds * constants.latency,
                    1 / (link.bytes_per_second * ranks * constants.bandwidth)};
  };
  Fabric fabric;
  if (exchange_ == nullptr) {
    fabric.launch_seconds = cluster_.launch_seconds * constants.latency;
    fabric.in_node = stated(cluster_.in_node, 1);
    fabric.between_nodes = stated(cluster_.between_nodes, 1);
    fabric.pipelined = cluster_.pipelined;
    return fabric;
  }
  // Late ranks are the pace's, but for those that the exchange itself makes late.
  const double stretch =
      exchange_->overlapped ? 1 : exchange_->stretch * (1 + exchange_->skew_of_exposed);
  const double factor = stretch * constants.exchange;
  const auto measured = [&](const LinkCost& link) {
    return LinkCost{link.latency_seconds * factor, link.seconds_per_byte * factor};
  };
  fabric.shared_memory = exchange_->fabric.shared_memory;
  // With shared_memory a node's ranks send its sum once, each its slice: S bytes on the whole of the node's link.
  const double ranks = fabric.shared_memory ? static_cast<double>(cluster_.ranks_per_node) : 1;
  const Fabric& found = exchange_->fabric;
  fabric.in_node = WasMeasured(*exchange_, found.in_node) ? measured(found.in_node)
                                                          : stated(cluster_.in_node, 1);
  fabric.between_nodes = WasMeasured(*exchange_, found.between_nodes)
                             ? measured(found.between_nodes)
                             : stated(cluster_.between_nodes, ranks);
  return fabric;
}

bool ClusterStep::Knows(int64_t world_size) const {
  return HasLinks(FabricOf(Middle()), TopologyOf(world_size));
}

std::string ClusterStep::ExchangeOrigin() const {
  if (exchange_ == nullptr) return "stated";
  const Fabric& found = exchange_->fabric;
  std::string text;
  const auto add = [&](const char* where, const LinkCost& link, const LinkConfig& config) {
    const char* how = WasMeasured(*exchange_, link) ? "measured here"
                      : config.bytes_per_second > 0 ? "stated"
                                                    : "not known";
    text += std::string(text.empty() ? "" : ", ") + where + how;
  };
  if (cluster_.ranks_per_node > 1) add("in a node ", found.in_node, cluster_.in_node);
  add("between nodes ", found.between_nodes, cluster_.between_nodes);
  return text + " (" + cluster_.measured_exchange + ")";
}

Topology ClusterStep::TopologyOf(int64_t world_size) const {
  return {world_size, cluster_.ranks_per_node};
}

double ClusterStep::ComputeSeconds(double tokens, const Constants& constants,
                                   int64_t world_size) const {
  const auto sequence = static_cast<double>(workload_.sequence_tokens);
  const auto count = static_cast<int64_t>(tokens);
  const double flops = StepFlops(model_, count, count, tokens * sequence);
  if (law_ == nullptr) return flops / (cluster_.peak_flops_per_second * constants.mfu);
  ScalingFit crowd;
  crowd.contention = basis_.contention;
  return constants.compute * crowd.Crowd(TopologyOf(world_size), basis_.cores) *
         (law_->seconds_per_flop * flops + law_->seconds_per_step);
}

StepSchedule ClusterStep::ScheduleOf(double tokens, const StepSettings& settings,
                                     const Constants& constants, int64_t world_size) const {
  const double pace = 1 + constants.pace_spread * StragglerFactor(world_size);
  const auto micro_batches = static_cast<double>(settings.accumulation);
  StepSchedule schedule;
  const double compute = pace * ComputeSeconds(tokens, constants, world_size);
  schedule.backward_seconds = kBackwardShare * compute / micro_batches;
  schedule.forward_seconds = compute - schedule.backward_seconds;
  // g of CPU ranks is of what the measured steps exposed, which is all.
  schedule.overlapped = cluster_.overlapped && (exchange_ == nullptr || exchange_->overlapped);
  schedule.shard = settings.shard && world_size > 1;
  if (cluster_.memory_bytes_per_second > 0) {
    const double parts = schedule.shard ? static_cast<double>(world_size) : 1;
    schedule.update_seconds = kUpdateBytes * static_cast<double>(model_.num_parameters()) / parts /
                              cluster_.memory_bytes_per_second;
  }
  BucketScheduleOptions buckets;
  buckets.bucket_bytes = settings.bucket_bytes;
  buckets.last_bucket_bytes = std::min(settings.bucket_bytes, settings.last_bucket_bytes);
  buckets.gradient_bytes = workload_.gradient_bytes;
  buckets.table_first = workload_.table_first;
  if (world_size > 1) schedule.buckets = ScheduleBuckets(model_, buckets);
  if (schedule.overlapped && constants.interference > 0) {
    const double beside =
        PredictStep(schedule, FabricOf(constants), TopologyOf(world_size)).communication_seconds;
    schedule.backward_seconds +=
        constants.interference * std::min(beside, schedule.backward_seconds);
  }
  return schedule;
}

StepSchedule ClusterStep::Schedule(const StepSettings& settings, const Constants& constants,
                                   int64_t world_size) const {
  return ScheduleOf(Tokens(settings), settings, constants, world_size);
}

StepTime ClusterStep::Step(const StepSettings& settings, const Constants& constants,
                           int64_t world_size) const {
  return PredictStep(Schedule(settings, constants, world_size), FabricOf(constants),
                     TopologyOf(world_size));
}

double ClusterStep::StrongSpeedUp(const Constants& constants, int64_t world_size) const {
  const auto seconds = [&](int64_t n) {
    const double tokens = static_cast<double>(workload_.strong_tokens) / static_cast<double>(n);
    StepSettings settings;
    settings.accumulation = std::max<int64_t>(
        1, static_cast<int64_t>(tokens / static_cast<double>(workload_.tokens_per_rank)));
    return PredictStep(ScheduleOf(tokens, settings, constants, n), FabricOf(constants),
                       TopologyOf(n))
        .step_seconds;
  };
  if (world_size > workload_.strong_tokens) return NAN;
  return seconds(1) / seconds(world_size);
}

bool ClusterStep::MayAccumulate(const StepSettings& settings, int64_t world_size) const {
  return settings.accumulation == 1 || Tokens(settings) * static_cast<double>(world_size) <=
                                           static_cast<double>(workload_.max_step_tokens);
}

double ClusterStep::MemoryBytes(const StepSettings& settings, int64_t world_size) const {
  const auto parameters = static_cast<double>(model_.num_parameters());
  const double parts = settings.shard ? static_cast<double>(world_size) : 1;
  return parameters * (4 + 2 + 4 + 8 / parts) +
         34.0 * static_cast<double>(workload_.tokens_per_rank * model_.hidden_size *
                                    model_.num_layers);
}

}  // namespace breakeven
