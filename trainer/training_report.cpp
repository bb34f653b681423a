#include "trainer/training_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <list>
#include <span>
#include <vector>

#include "comm/base/log.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

ProgressOptions BarOf(World& world, const TrainingState& start) {
  ProgressOptions options;
  options.enabled = world.is_root();
  options.start = start.step;
  options.line_every_seconds =
      60;  // where there is no terminal: the lines of log_every_steps say most
  return options;
}

template <typename... Args>
std::string Format(const char* format, Args... args) {
  std::array<char, 240> text{};
  std::snprintf(text.data(), text.size(), format, args...);
  return text.data();
}

}  // namespace

TrainingReport::TrainingReport(const TrainConfig& config, World& world, const TrainingState& start,
                               int64_t total_steps)
    : config_(config),
      world_(world),
      total_steps_(total_steps),
      metrics_(world.is_root() ? config.output + "/metrics.jsonl" : "", start.step),
      progress_("train", total_steps, BarOf(world, start)),
      last_loss_(std::numeric_limits<double>::quiet_NaN()) {}

TrainingReport::~TrainingReport() {
  for (StepMetrics& metrics : unsplit_) {
    metrics.exposed_communication_seconds = std::numeric_limits<double>::quiet_NaN();
    metrics.skew_seconds = metrics.exposed_communication_seconds;
    metrics_.Step(metrics);
  }
}

void TrainingReport::Split() {
  if (unsplit_.empty()) return;
  const std::vector<WaitSplit> splits = SplitWaits(*world_.control, unsplit_waits_);
  for (size_t i = 0; i < splits.size(); ++i) {
    unsplit_[i].exposed_communication_seconds = splits[i].exposed_communication;
    unsplit_[i].skew_seconds = splits[i].skew;
    unsplit_[i].input_wait_seconds = splits[i].input;
    metrics_.Step(unsplit_[i]);
    for (WaitSplit* sum : {&waits_, &line_waits_}) {
      sum->exposed_communication += splits[i].exposed_communication;
      sum->skew += splits[i].skew;
      sum->input += splits[i].input;
    }
    line_late_seconds_[splits[i].latest_rank] += splits[i].skew;
  }
  unsplit_.clear();
  unsplit_waits_.clear();
}

void TrainingReport::Flush() {
  Split();
  metrics_.Flush();
}

void TrainingReport::Sync() {
  Split();
  RunTogether(*world_.control, /*root_only=*/true, [&] { metrics_.Sync(); });
}

void TrainingReport::Step(const StepMetrics& metrics, StepWaits waits) {
  unsplit_.push_back(metrics);
  unsplit_waits_.push_back(std::move(waits));
  ++num_steps_;
  step_seconds_ += metrics.step_seconds;
  last_loss_ = metrics.loss;
  if (!metrics.skipped) {
    loss_sum_ += metrics.loss * static_cast<double>(metrics.target_tokens);
    loss_targets_ += metrics.target_tokens;
  }
  line_tokens_ += metrics.tokens;
  line_seconds_ += metrics.step_seconds;
  progress_.Add(1, Format("loss %.4f", metrics.loss));
  if (metrics.step % config_.log_every_steps == 0 || metrics.step == total_steps_) Line(metrics);
}

// The rank that most of the waiting is for, where it is worth looking at.
std::string TrainingReport::WhoIsLate() const {
  constexpr double kWorthSaying = 0.1;  // of the time
  if (world_.world_size() == 1 || line_waits_.skew < kWorthSaying * line_seconds_) return "";
  const auto latest =
      std::max_element(line_late_seconds_.begin(), line_late_seconds_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return ": mostly waits for rank " + std::to_string(latest->first);
}

void TrainingReport::Line(const StepMetrics& last) {
  Flush();
  if (world_.is_root()) {
    const double loss =
        loss_targets_ > 0 ? loss_sum_ / static_cast<double>(loss_targets_) : last.loss;
    const auto percent = [&](double seconds) { return 100 * seconds / line_seconds_; };
    progress_.Line(Format(
        "step %lld/%lld  epoch %lld  loss %.4f  learning rate %.3g  grad norm %.3g  %.0f tokens/s  "
        "(communication %.1f %%, skew %.1f %%%s, input %.1f %%)",
        static_cast<long long>(last.step), static_cast<long long>(total_steps_),
        static_cast<long long>(last.epoch), loss, last.learning_rate, last.grad_norm,
        static_cast<double>(line_tokens_) / line_seconds_,
        percent(line_waits_.exposed_communication), percent(line_waits_.skew), WhoIsLate().c_str(),
        percent(line_waits_.input)));
  }
  line_waits_ = {};
  line_late_seconds_.clear();
  loss_sum_ = 0;
  loss_targets_ = 0;
  line_tokens_ = 0;
  line_seconds_ = 0;
}

void TrainingReport::Skipped(const TrainingState& state) {
  if (!world_.is_root()) return;
  LogWarning(
      Format("step %lld: loss or gradient is not finite; the update is skipped on all ranks "
             "(%lld in a row)",
             static_cast<long long>(state.step), static_cast<long long>(state.nonfinite_in_a_row)));
}

void TrainingReport::Spike(int64_t step, double loss, double deviations) {
  Split();
  metrics_.Event("spike", step, {{"loss", loss}, {"deviations", deviations}});
  if (!world_.is_root()) return;
  LogWarning(Format("step %lld: the loss, %.4f, is %.1f standard deviations above those before it",
                    static_cast<long long>(step), loss, deviations));
}

void TrainingReport::RollBack(const TrainingState& state, int64_t from_step) {
  Split();
  metrics_.CutBehind(state.step);
  metrics_.Event("rollback", state.step, {{"from_step", from_step}});
  if (!world_.is_root()) return;
  LogWarning(
      Format("back from step %lld to the checkpoint of step %lld; the data of the steps "
             "between is passed over",
             static_cast<long long>(from_step), static_cast<long long>(state.step)));
}

void TrainingReport::Validation(const TrainingState& state, double loss, int64_t target_tokens,
                                double seconds, bool stops_early) {
  Split();
  metrics_.Event("validation", state.step,
                 {{"loss", loss},
                  {"best_loss", state.best_validation_loss},
                  {"target_tokens", target_tokens},
                  {"seconds", seconds}});
  if (!world_.is_root()) return;
  progress_.Line(Format("step %lld  validation loss %.4f%s%s", static_cast<long long>(state.step),
                        loss, state.best_step == state.step ? "  (best so far)" : "",
                        stops_early ? "  stopping early" : ""));
}

void TrainingReport::Checkpoint(const SavedCheckpoint& checkpoint) {
  Split();
  const std::string name = "checkpoints/" + CheckpointName(checkpoint.step);
  metrics_.Event("checkpoint", checkpoint.step,
                 {{"path", name},
                  {"hash", checkpoint.hash},
                  {"seconds", checkpoint.seconds},
                  {"stall_seconds", checkpoint.stall_seconds}});
  if (!world_.is_root()) return;
  const auto step = static_cast<long long>(checkpoint.step);
  progress_.Line(
      checkpoint.seconds - checkpoint.stall_seconds >= 0.05
          ? Format("step %lld  saved %s in %.1f s, training stood still for %.2f s", step,
                   name.c_str(), checkpoint.seconds, checkpoint.stall_seconds)
          : Format("step %lld  saved %s in %.1f s", step, name.c_str(), checkpoint.seconds));
}

void TrainingReport::Finish() {
  Flush();
  progress_.Finish();
}

TrainSummary TrainingReport::Summarize(const TrainingState& state, int64_t saved_step) {
  Control& control = *world_.control;
  Split();
  TrainSummary summary;
  summary.steps = state.step;
  summary.epochs = state.epoch + (state.step_in_epoch > 0 ? 1 : 0);
  summary.seconds = state.seconds;
  summary.tokens = state.tokens;
  if (state.seconds > 0) {
    summary.tokens_per_second = static_cast<double>(state.tokens) / state.seconds;
  }
  std::array<double, 1> seconds = {step_seconds_};
  control.AllReduce(std::span<double>(seconds), ReduceOp::kSum);
  const double mean_seconds = seconds[0] / control.world_size();
  if (mean_seconds > 0) {
    summary.input_share = waits_.input / mean_seconds;
    summary.communication_share = waits_.exposed_communication / mean_seconds;
    summary.skew_share = waits_.skew / mean_seconds;
    summary.compute_share =
        1 - summary.input_share - summary.communication_share - summary.skew_share;
  }
  summary.peak_memory_bytes = control.AllReduce(PeakBytesOn(ToAten(world_.device)), ReduceOp::kMax);
  summary.skipped_steps = state.skipped_steps;
  summary.final_loss = last_loss_;
  summary.best_validation_loss = state.best_validation_loss;
  const std::string folder = CheckpointsFolder(config_.output) + "/";
  if (saved_step >= 0) summary.last_checkpoint = folder + CheckpointName(saved_step);
  const std::string best = folder + CheckpointName(state.best_step);
  // A run that went on from another folder's checkpoint may have its best one there.
  if (state.best_step >= 0 && config_.checkpoint.keep_best && std::filesystem::is_directory(best)) {
    summary.best_checkpoint = best;
  }
  if (num_steps_ == 0) return summary;
  metrics_.Event("end", state.step,
                 {{"seconds", summary.seconds},
                  {"tokens", summary.tokens},
                  {"tokens_per_second", summary.tokens_per_second},
                  {"compute_share", summary.compute_share},
                  {"communication_share", summary.communication_share},
                  {"skew_share", summary.skew_share},
                  {"input_share", summary.input_share},
                  {"peak_memory_bytes", summary.peak_memory_bytes},
                  {"skipped_steps", summary.skipped_steps},
                  {"best_validation_loss", summary.best_validation_loss}});
  return summary;
}

void LogPromptEval(const TrainConfig& config, int64_t step, const EvalSummary& summary) {
  MetricsLog log(config.output + "/metrics.jsonl", step);
  for (const ArmSummary& arm : summary.arms) {
    std::vector<MetricsLog::Field> fields = {{"task", summary.task},
                                             {"model", arm.model},
                                             {"variant", arm.variant},
                                             {"split", arm.split},
                                             {"n", arm.num_documents}};
    std::list<std::string> names;  // fields only point to their names
    for (const auto& [name, metric] : arm.metrics) {
      fields.emplace_back(name, metric.value);
      fields.emplace_back(names.emplace_back(name + "_standard_error"), metric.standard_error);
    }
    fields.emplace_back("tokens", arm.tokens);
    fields.emplace_back("seconds", arm.seconds);
    log.Event("prompt_eval", step, fields);
  }
}

}  // namespace breakeven
