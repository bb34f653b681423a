#include "trainer/training_step.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "comm/base/fault_point.h"
#include "comm/base/timing.h"
#include "data_pipeline/micro_batch.h"
#include "trainer/autograd/aten_only.h"
#include "trainer/device_batch.h"
#include "trainer/model/loss.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

at::Tensor LossOf(Model& model, const BatchTensors& batch, double normalizer) {
  return WeightedLoss(model, batch.input, batch.targets_T, batch.loss_weight_T, normalizer);
}

// Memory for one micro-batch of the validation pass, used again for the next.
struct BatchBuffer {
  std::vector<int64_t> tokens, positions, targets;
  std::vector<float> loss_weight;

  MicroBatch Fill(const TokenDataset& dataset, const std::vector<int64_t>& examples) {
    const auto size = static_cast<size_t>(CountTokens(dataset, examples));
    tokens.resize(size);
    positions.resize(size);
    targets.resize(size);
    loss_weight.resize(size);
    MicroBatch batch{tokens, positions, targets, loss_weight, {}};
    FillMicroBatch(dataset, examples, batch);
    DropTails(batch);
    return batch;
  }
};

double TotalOf(const std::vector<double>& seconds) {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

// Seconds since the last lap.
double Lap(const TrainingSession& session, Stopwatch& watch) {
  if (session.exact_phases) AwaitCompute(session.storage.device);
  const double seconds = watch.Seconds();
  watch = Stopwatch();
  return seconds;
}

// Of any rank's last micro-batch: every rank has the plan of all.
int64_t MostTokensOfTheLast(const TrainingSession& session, const StepPlan& plan) {
  int64_t most = 0;
  for (const auto& micro_batches : plan.micro_batches) {
    most = std::max(most, CountTokens(*session.inputs.train, micro_batches.back()));
  }
  return most;
}

}  // namespace

StepResult RunStep(TrainingSession& session, const LoadedStep& loaded, bool stop,
                   bool checkpoint_due, bool saving) {
  const int64_t step = session.state.step;
  const auto normalizer =
      static_cast<double>(std::max<int64_t>(1, loaded.plan.global_target_tokens));
  GradientBuckets& buckets = *session.buckets;
  buckets.BeginStep();
  StepReport report{
      .stop = stop, .nonfinite = false, .checkpoint_due = checkpoint_due, .saving = saving};
  StepResult result;
  const bool on_host = session.storage.parameters_P.is_cpu() && !AtenOnly::on();
  at::Tensor device_loss;  // not read by the host: it would wait
  Stopwatch watch;
  for (size_t i = 0; i < loaded.micro_batches.size(); ++i) {
    const BatchTensors batch = BatchOn(session.storage.device, loaded.micro_batches[i].batch);
    at::Tensor loss;
    if (batch.has_targets) {
      loss = LossOf(*session.model, batch, normalizer);
      if (on_host) {
        report.loss += loss.item<float>();
      } else {
        device_loss = device_loss.defined() ? device_loss + loss.detach() : loss.detach();
      }
    }
    result.times.forward += Lap(session, watch);
    if (i + 1 == loaded.micro_batches.size()) {
      report.nonfinite = !std::isfinite(report.loss);
      buckets.Arm(report, step, MostTokensOfTheLast(session, loaded.plan), device_loss);
    }
    if (loss.defined()) loss.backward();
    result.times.backward += Lap(session, watch);
    session.world.Beat();
  }
  result.outcome = buckets.Finish();
  result.times.backward += Lap(session, watch);
  const double waits_before = TotalOf(buckets.waits());
  result.learning_rate = session.config.optimizer.learning_rate * session.schedule.Factor(step);
  if (result.outcome.finite) {
    session.optimizer->Update(buckets.gradient_P(), result.learning_rate,
                              session.optimizer->GradScale(result.outcome.grad_norm));
    if (session.storage.shared()) {
      buckets.AwaitUpdates();
    } else {
      buckets.GatherShards(session.storage.parameters_P);
      RefreshCopies(session.storage, session.optimizer->uncopied());
    }
  }
  result.times.update = Lap(session, watch);
  if (session.exact_phases) buckets.TakeStretches();  // the host has waited for them already
  result.waits = buckets.waits();
  result.times.gathering = TotalOf(result.waits) - waits_before;
  return result;
}

double ValidationLoss(TrainingSession& session) {
  const at::NoGradGuard no_grad;
  const TokenDataset& dataset = *session.inputs.validation;
  const auto world_size = static_cast<size_t>(session.world.world_size());
  const auto& plan = session.validation_plan;
  std::vector<double> sums(plan.size(),
                           0.0);  // the others' entries stay 0: their sum over ranks is exact
  BatchBuffer buffer;
  for (size_t i = static_cast<size_t>(session.world.rank()); i < plan.size(); i += world_size) {
    const MicroBatch micro_batch = buffer.Fill(dataset, plan[i]);
    const BatchTensors batch = BatchOn(session.storage.device, micro_batch);
    if (batch.has_targets) sums[i] = LossOf(*session.model, batch, 1.0).item<float>();
    session.world.Beat();
  }
  session.world.control->AllReduce(std::span<double>(sums), ReduceOp::kSum);
  double total = 0;
  for (double sum : sums) total += sum;
  const int64_t targets = dataset.num_targets();
  return targets > 0 ? total / static_cast<double>(targets)
                     : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace breakeven
