#include "trainer/step_control.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "trainer/statistics/bootstrap.h"
#include "trainer/training_step.h"
#include "trainer/wait_split.h"

namespace breakeven {
namespace {

struct Leg {
  double slowest = 0;  // seconds, over ranks
  double mean = 0;
};

// COLLECTIVE.
Leg TimeStep(TrainingSession& session, const LoadedStep& loaded, bool communicate,
             std::vector<StepWaits>& waits) {
  Control& control = *session.world.control;
  session.buckets->set_communicate(communicate);
  control.Barrier();
  const Stopwatch watch;
  const StepResult result = RunStep(session, loaded, /*stop=*/false, /*checkpoint_due=*/false);
  std::array<double, 1> slowest = {watch.Seconds()};
  std::array<double, 1> sum = slowest;
  control.AllReduce(std::span<double>(slowest), ReduceOp::kMax);
  control.AllReduce(std::span<double>(sum), ReduceOp::kSum);
  if (communicate) waits.push_back({.collectives = result.waits, .input = 0});
  return {slowest[0], sum[0] / control.world_size()};
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return SortedQuantile(values, 0.5);
}

// Of the median, by resampling batches.
Interval MedianInterval(const std::vector<double>& values) {
  constexpr uint64_t kResamples = 10000;
  std::vector<double> medians;
  for (uint64_t resample = 0; resample < kResamples; ++resample) {
    std::vector<double> drawn;
    for (uint64_t i = 0; i < values.size(); ++i) {
      drawn.push_back(values[RandomBits(/*seed=*/1, resample, i) % values.size()]);
    }
    medians.push_back(Median(std::move(drawn)));
  }
  return PercentileInterval(std::move(medians), 0.95);
}

}  // namespace

StepControl MeasureControl(TrainingSession& session, Loader& loader, int64_t num_batches) {
  BE_CHECK(session.exact_phases, "a step that is timed must end with its gathering");
  std::vector<double> with, without, ratios, ratios_of_mean;
  std::vector<StepWaits> waits;
  for (int64_t batch = 0; batch < num_batches; ++batch) {
    const std::optional<LoadedStep> loaded = loader.Next();
    BE_CHECK(loaded.has_value(), "the loader ended early");
    std::array<Leg, 4> legs;
    for (size_t leg = 0; leg < legs.size(); ++leg) {
      legs[leg] = TimeStep(session, *loaded, /*communicate=*/leg == 0 || leg == 3, waits);
      (leg == 0 || leg == 3 ? with : without).push_back(legs[leg].slowest);
    }
    const double communicating = legs[0].slowest + legs[3].slowest;
    ratios.push_back((legs[1].slowest + legs[2].slowest) / communicating);
    ratios_of_mean.push_back((legs[1].mean + legs[2].mean) / communicating);
    ++session.state.step;
  }
  session.buckets->set_communicate(session.config.communicate);
  StepControl control;
  control.with = SummariseSeconds(with, 0);
  control.without = SummariseSeconds(without, 0);
  control.efficiency = Median(ratios);
  const Interval interval = MedianInterval(ratios);
  control.efficiency_low = interval.low;
  control.efficiency_high = interval.high;
  control.efficiency_of_mean_rank = Median(ratios_of_mean);
  for (const WaitSplit& split : SplitWaits(*session.world.control, waits)) {
    control.exposed_communication_seconds += split.exposed_communication;
    control.skew_seconds += split.skew;
  }
  const auto steps = static_cast<double>(waits.size());
  control.exposed_communication_seconds /= steps;
  control.skew_seconds /= steps;
  return control;
}

}  // namespace breakeven
