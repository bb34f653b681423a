#include "trainer/step_bench.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "data_pipeline/loader.h"
#include "trainer/autograd/matrix_product.h"
#include "trainer/caching_allocator.h"
#include "trainer/process_resources.h"
#include "trainer/step_control.h"
#include "trainer/tensor_bridge.h"
#include "trainer/training_session.h"
#include "trainer/training_step.h"
#include "trainer/wait_split.h"

namespace breakeven {
namespace {

// A run folder for the time of the measurement. COLLECTIVE.
class ScratchFolder {
 public:
  explicit ScratchFolder(World& world) : world_(world) {
    RunTogether(*world.control, /*root_only=*/true, [this] {
      std::string name =
          (std::filesystem::temp_directory_path() / "breakeven_bench_XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) {
        throw Error(ErrorKind::kCannotCreate, name + ": cannot create the folder. Set TMPDIR.");
      }
      path_ = name;
    });
    world.control->Broadcast(path_, /*root=*/0);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (world_.is_root()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  World& world_;
  std::string path_;
};

// Best of some repeats, so that what else the machine does lowers it least; by the better of libtorch's product and the one that
// training uses: a peak below what a step could reach would flatter it.
double MeasurePeak(at::ScalarType type, const at::Device& device, int64_t size) {
  constexpr int kRepeats = 8;
  using Product = void (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&);
  const Product products[] = {
      [](const at::Tensor& out, const at::Tensor& left, const at::Tensor& right) {
        at::Tensor into = out;
        at::mm_out(into, left, right);
      },
      [](const at::Tensor& out, const at::Tensor& left, const at::Tensor& right) {
        MultiplyInto(out, left, right);
      }};
  const at::TensorOptions options = at::TensorOptions().dtype(type).device(device);
  const at::Tensor left = at::ones({size, size}, options);
  const at::Tensor right = at::ones({size, size}, options);
  const at::Tensor out = at::empty({size, size}, options);
  double best = 1e30;
  for (const Product product : products) {
    product(out, left, right);
    for (int i = 0; i < kRepeats; ++i) {
      AwaitCompute(device);
      const Stopwatch watch;
      product(out, left, right);
      AwaitCompute(device);
      best = std::min(best, watch.Seconds());
    }
  }
  const auto n = static_cast<double>(size);
  return 2.0 * n * n * n / best;
}

// One sample a step for each phase.
struct Samples {
  std::vector<double> step, input, forward, backward, communication, update;
  std::vector<StepWaits> waits;
  double flops = 0;  // of this rank
};

double SumOfSquaredLengths(const LoadedStep& loaded) {
  double sum = 0;
  for (const LoadedMicroBatch& micro_batch : loaded.micro_batches) {
    const std::vector<int64_t>& starts = micro_batch.batch.segment_starts;
    for (size_t b = 0; b + 1 < starts.size(); ++b) {
      const auto length = static_cast<double>(starts[b + 1] - starts[b]);
      sum += length * length;
    }
  }
  return sum;
}

double FlopsOfRank(const TrainingSession& session, const LoadedStep& loaded) {
  int64_t tokens = 0, targets = 0;
  for (const LoadedMicroBatch& micro_batch : loaded.micro_batches) {
    tokens += std::ssize(micro_batch.batch.tokens);
    targets += std::count_if(micro_batch.batch.loss_weight.begin(),
                             micro_batch.batch.loss_weight.end(), [](float w) { return w != 0; });
  }
  return StepFlops(session.inputs.model_config, tokens, targets, SumOfSquaredLengths(loaded));
}

// COLLECTIVE. Of each sample the mean over ranks: phases then add up to a step.
Timing MeanOverRanks(std::vector<double> seconds, Control& control, int64_t discarded) {
  for (double& value : seconds) value /= control.world_size();
  control.AllReduce(std::span<double>(seconds), ReduceOp::kSum);
  return SummariseSeconds(std::move(seconds), discarded);
}

// COLLECTIVE. The slowest rank of each sample.
Timing Slowest(std::vector<double> seconds, Control& control, int64_t discarded) {
  control.AllReduce(std::span<double>(seconds), ReduceOp::kMax);
  return SummariseSeconds(std::move(seconds), discarded);
}

void TakeStep(TrainingSession& session, Loader& loader, bool counts, Samples& samples,
              StepBenchReport& report) {
  session.world.control->Barrier();
  const Stopwatch watch;
  const std::optional<LoadedStep> loaded = loader.Next();
  BE_CHECK(loaded.has_value(), "the loader ended early");
  const double input = watch.Seconds();
  const StepResult result = RunStep(session, *loaded, /*stop=*/false, /*checkpoint_due=*/false);
  const double seconds = watch.Seconds();
  ++session.state.step;
  if (session.world.is_root()) {
    LogInfo("bench step " + std::to_string(session.state.step) + "  loss " +
            std::to_string(result.outcome.loss) + "  " +
            std::to_string(static_cast<double>(loaded->plan.global_tokens) / seconds) +
            " tokens/s");
  }
  if (!counts) return;
  const double communication = std::accumulate(result.waits.begin(), result.waits.end(), 0.0);
  samples.step.push_back(seconds);
  samples.input.push_back(input);
  samples.forward.push_back(result.times.forward);
  const double in_backward = communication - result.times.gathering;
  samples.backward.push_back(std::max(0.0, result.times.backward - in_backward));
  samples.communication.push_back(communication);
  samples.update.push_back(std::max(0.0, result.times.update - result.times.gathering));
  samples.waits.push_back({.collectives = result.waits, .input = input});
  samples.flops += FlopsOfRank(session, *loaded);
  report.tokens += loaded->plan.global_tokens;
  report.target_tokens += loaded->plan.global_target_tokens;
  report.loss += result.outcome.loss;
}

}  // namespace

StepBenchReport MeasureSteps(const StepBenchConfig& config, World& world) {
  PrepareDevice(world.device, config.train.deterministic);
  KeepFreedMemory();
  InstallCachingAllocator();
  const ScratchFolder folder(world);
  TrainConfig train = config.Measured();
  train.output = folder.path();
  const int64_t num_steps = config.warmup_steps + config.steps + config.control_batches;
  train.max_steps = std::max(train.max_steps, num_steps);  // the schedule's steps must fit
  TrainingSession session(train, world, /*resolved_yaml=*/"");
  session.exact_phases = true;
  LoaderOptions options;
  options.drop_tails = true;
  options.rank = world.rank();
  options.num_steps = num_steps;
  Loader loader(*session.inputs.train, *session.inputs.planner, options);

  StepBenchReport report;
  report.precision = session.inputs.precision;
  report.threads = session.inputs.threads;
  Samples samples;
  for (int64_t i = 0; i < config.warmup_steps + config.steps; ++i) {
    TakeStep(session, loader, i >= config.warmup_steps, samples, report);
  }
  Control& control = *world.control;
  const int64_t discarded = config.warmup_steps;
  report.phases = {.step = Slowest(samples.step, control, discarded),
                   .input = MeanOverRanks(samples.input, control, discarded),
                   .forward = MeanOverRanks(samples.forward, control, discarded),
                   .backward = MeanOverRanks(samples.backward, control, discarded),
                   .communication = MeanOverRanks(samples.communication, control, discarded),
                   .update = MeanOverRanks(samples.update, control, discarded)};
  const double seconds = std::accumulate(samples.step.begin(), samples.step.end(), 0.0);
  report.tokens_per_second = static_cast<double>(report.tokens) / seconds;
  report.loss /= static_cast<double>(config.steps);
  for (const WaitSplit& split : SplitWaits(control, samples.waits)) {
    const auto steps = static_cast<double>(config.steps);
    report.exposed_communication_seconds += split.exposed_communication / steps;
    report.skew_seconds += split.skew / steps;
  }
  report.predicted_memory_bytes = EstimateMemory(train, session.inputs, world).total();
  report.peak_memory_bytes = control.AllReduce(PeakBytesOn(session.storage.device), ReduceOp::kMax);
  if (config.control_batches > 0) {
    report.control = MeasureControl(session, loader, config.control_batches);
  }
  control.Barrier();
  report.peak_product_size = world.device.is_cuda() ? 8192 : 1024;
  std::vector<double> sums = {
      samples.flops,
      MeasurePeak(session.storage.product_type, session.storage.device, report.peak_product_size)};
  control.AllReduce(std::span<double>(sums), ReduceOp::kSum);
  report.flops = sums[0];
  report.peak_flops_per_second = sums[1];
  report.mfu = report.flops / seconds / report.peak_flops_per_second;
  return report;
}

}  // namespace breakeven
