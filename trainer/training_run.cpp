// The story of a training run, top to bottom: set up, steps, boundaries, end (design.md §4).
#include "trainer/training_run.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "data_pipeline/loader.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/metrics_log.h"
#include "trainer/process_resources.h"
#include "trainer/stop_signals.h"
#include "trainer/training_session.h"
#include "trainer/training_step.h"

namespace breakeven {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Where the time in steps went, on this rank, since the process started.
struct TimeSplit {
  double steps = 0;
  double input = 0;
  double communication = 0;
};

class TrainingRun {
 public:
  TrainingRun(const TrainConfig& config, World& world, std::string_view resolved_yaml);

  TrainSummary Run();

 private:
  // Each is COLLECTIVE and does the same on every rank: all they decide by is the same on every
  // rank.
  void Step(const LoadedStep& loaded, Clock::time_point begin, double input_seconds);
  bool AtBoundary();  // validates, saves; true = the run ends here
  void Validate();
  void Save();
  void EndAfterSignal();
  TrainSummary Summarize();

  bool ValidationDue() const;
  bool CheckpointDue(bool improved, bool ending) const;
  void CountNonfinite(bool finite);
  void Report(const StepMetrics& metrics);

  const StopSignals signals_;
  TrainingSession session_;
  TrainingState& state_;
  MetricsLog metrics_;
  std::unique_ptr<Progress> progress_;
  TimeSplit time_;
  int64_t resumed_step_;
  Clock::time_point last_save_ = Clock::now();
  bool agreed_stop_ = false;
  bool agreed_checkpoint_ = false;
  bool stopped_early_ = false;
  int64_t saved_step_ = -1;  // the newest step on disk
  // Since the last line of the log.
  double loss_sum_ = 0;
  int64_t loss_targets_ = 0;
  int64_t tokens_since_line_ = 0;
  double seconds_since_line_ = 0;
  double last_loss_ = std::numeric_limits<double>::quiet_NaN();
};

TrainingRun::TrainingRun(const TrainConfig& config, World& world, std::string_view resolved_yaml)
    : session_(config, world, resolved_yaml),
      state_(session_.state),
      metrics_(world.is_root() ? config.output + "/metrics.jsonl" : "", state_.step),
      resumed_step_(state_.step) {
  if (!session_.resumed_from.empty()) saved_step_ = state_.step;
}

TrainSummary TrainingRun::Run() {
  World& world = session_.world;
  ProgressOptions bar;
  bar.enabled = world.is_root();
  bar.start = state_.step;
  bar.line_every_seconds = 60;
  progress_ = std::make_unique<Progress>("train", session_.inputs.total_steps, bar);

  LoaderOptions options;
  options.rank = world.rank();
  options.start = {state_.epoch, state_.step_in_epoch};
  options.num_steps = session_.inputs.total_steps - state_.step;
  Loader loader(*session_.inputs.train, *session_.inputs.planner, options);

  // A run that was killed between a step and its validation owes that validation.
  if (ValidationDue()) Validate();
  bool ended = stopped_early_ || state_.step >= session_.inputs.total_steps;
  while (!ended) {
    FaultPoint("train.step", state_.step);
    const Clock::time_point begin = Clock::now();
    const std::optional<LoadedStep> loaded = loader.Next();
    BE_CHECK(loaded.has_value(), "the loader ended before the last step");
    Step(*loaded, begin, SecondsSince(begin));
    ended = AtBoundary();
  }
  loader.Stop();
  if (saved_step_ != state_.step) Save();
  progress_->Finish();
  TrainSummary summary = Summarize();
  if (agreed_stop_ && session_.config.prompt_eval.has_value()) EndAfterSignal();
  return summary;
}

void TrainingRun::Step(const LoadedStep& loaded, Clock::time_point begin, double input_seconds) {
  const TrainConfig& config = session_.config;
  const bool stop = signals_.requested() || InjectedErrno("train.stop_signal", state_.step) != 0;
  const bool due = session_.world.is_root() && config.checkpoint.every_minutes > 0 &&
                   SecondsSince(last_save_) >= 60 * config.checkpoint.every_minutes;
  const StepResult result = RunStep(session_, loaded, stop, due);
  const double seconds = SecondsSince(begin);

  agreed_stop_ = result.outcome.stop;
  agreed_checkpoint_ = result.outcome.checkpoint_due;
  ++state_.step;
  state_.epoch = loaded.next.epoch;
  state_.step_in_epoch = loaded.next.step;
  state_.tokens += loaded.plan.global_tokens;
  state_.seconds += seconds;
  state_.num_updates = session_.optimizer->num_updates();
  time_.steps += seconds;
  time_.input += input_seconds;
  time_.communication += result.communication_seconds;

  StepMetrics metrics;
  metrics.step = state_.step;
  metrics.epoch = loaded.plan.epoch;
  metrics.loss = result.outcome.loss;
  metrics.learning_rate = result.learning_rate;
  metrics.grad_norm = result.outcome.grad_norm;
  metrics.target_tokens = loaded.plan.global_target_tokens;
  metrics.tokens = loaded.plan.global_tokens;
  metrics.step_seconds = seconds;
  metrics.exposed_communication_seconds = result.communication_seconds;
  metrics.input_wait_seconds = input_seconds;
  metrics.skipped = !result.outcome.finite;
  metrics_.Step(metrics);
  Report(metrics);
  CountNonfinite(result.outcome.finite);
}

void TrainingRun::CountNonfinite(bool finite) {
  if (finite) {
    state_.nonfinite_in_a_row = 0;
    return;
  }
  ++state_.skipped_steps;
  ++state_.nonfinite_in_a_row;
  if (session_.world.is_root()) {
    LogWarning("step " + std::to_string(state_.step) +
               ": loss or gradient is not finite; the update is skipped on all ranks (" +
               std::to_string(state_.nonfinite_in_a_row) + " in a row)");
  }
  if (state_.nonfinite_in_a_row < session_.config.max_nonfinite_steps) return;
  metrics_.Flush();
  throw Error(
      ErrorKind::kInternal,
      "loss or gradient not finite in " + std::to_string(state_.nonfinite_in_a_row) +
          " steps in a row (max_nonfinite_steps), the last is step " + std::to_string(state_.step) +
          ". Lower optimizer.learning_rate or look at the data of these " + "steps; " +
          (saved_step_ >= 0 ? "the checkpoint of step " + std::to_string(saved_step_) + " is kept."
                            : "nothing was saved yet."),
      /*on_all_ranks=*/true);
}

void TrainingRun::Report(const StepMetrics& metrics) {
  last_loss_ = metrics.loss;
  if (!metrics.skipped) {
    loss_sum_ += metrics.loss * static_cast<double>(metrics.target_tokens);
    loss_targets_ += metrics.target_tokens;
  }
  tokens_since_line_ += metrics.tokens;
  seconds_since_line_ += metrics.step_seconds;
  std::array<char, 200> text{};
  std::snprintf(text.data(), text.size(), "loss %.4f", metrics.loss);
  progress_->Add(1, text.data());
  const bool last = metrics.step == session_.inputs.total_steps;
  if (metrics.step % session_.config.log_every_steps != 0 && !last) return;
  metrics_.Flush();
  if (session_.world.is_root()) {
    std::snprintf(
        text.data(), text.size(),
        "step %lld/%lld  epoch %lld  loss %.4f  learning rate %.3g  grad norm %.3g  %.0f tokens/s",
        static_cast<long long>(metrics.step), static_cast<long long>(session_.inputs.total_steps),
        static_cast<long long>(metrics.epoch),
        loss_targets_ > 0 ? loss_sum_ / static_cast<double>(loss_targets_) : metrics.loss,
        metrics.learning_rate, metrics.grad_norm,
        static_cast<double>(tokens_since_line_) / seconds_since_line_);
    progress_->Line(text.data());
  }
  loss_sum_ = 0;
  loss_targets_ = 0;
  tokens_since_line_ = 0;
  seconds_since_line_ = 0;
}

bool TrainingRun::ValidationDue() const {
  const ValidationConfig& validation = session_.config.validation;
  if (session_.inputs.validation == nullptr || state_.step == 0) return false;
  if (state_.last_validation_step == state_.step) return false;
  if (state_.step >= session_.inputs.total_steps) return true;
  return validation.every_steps > 0 ? state_.step % validation.every_steps == 0
                                    : state_.step_in_epoch == 0;
}

bool TrainingRun::CheckpointDue(bool improved, bool ending) const {
  const CheckpointConfig& checkpoint = session_.config.checkpoint;
  return ending || agreed_checkpoint_ || (improved && checkpoint.keep_best) ||
         (checkpoint.every_steps > 0 && state_.step % checkpoint.every_steps == 0);
}

bool TrainingRun::AtBoundary() {
  const bool finished = state_.step >= session_.inputs.total_steps;
  const int64_t best_before = state_.best_step;
  // With a signal pending there may be little time: save first, the resumed run owes the
  // validation.
  if (ValidationDue() && (!agreed_stop_ || finished)) Validate();
  const bool improved = state_.best_step != best_before;
  const bool ending = finished || stopped_early_;
  if (CheckpointDue(improved, ending || agreed_stop_)) Save();
  if (agreed_stop_ && !ending) EndAfterSignal();
  return ending;
}

void TrainingRun::Validate() {
  FaultPoint("train.validate", state_.step);
  const Clock::time_point begin = Clock::now();
  const double loss = ValidationLoss(session_);
  state_.last_validation_step = state_.step;
  const bool improved =
      !std::isnan(loss) && !(loss >= state_.best_validation_loss);  // true also for the first
  if (improved) {
    state_.best_validation_loss = loss;
    state_.best_step = state_.step;
    state_.validations_without_gain = 0;
  } else {
    ++state_.validations_without_gain;
  }
  const int64_t patience = session_.config.validation.early_stopping_patience;
  stopped_early_ = patience > 0 && state_.validations_without_gain >= patience;
  metrics_.Event("validation", state_.step,
                 {{"loss", loss},
                  {"best_loss", state_.best_validation_loss},
                  {"target_tokens", session_.inputs.validation->num_targets()},
                  {"seconds", SecondsSince(begin)}});
  if (!session_.world.is_root()) return;
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "step %lld  validation loss %.4f%s%s",
                static_cast<long long>(state_.step), loss, improved ? "  (best so far)" : "",
                stopped_early_ ? "  stopping early" : "");
  progress_->Line(text.data());
}

void TrainingRun::Save() {
  const TrainConfig& config = session_.config;
  const Clock::time_point begin = Clock::now();
  metrics_.Flush();
  CheckWeightsOverRanks(session_);
  std::string hash;
  RunTogether(*session_.world.control, /*root_only=*/true, [&] {
    const std::string path = SaveCheckpoint(
        config.output,
        {*session_.model, session_.storage, *session_.optimizer, session_.companions}, state_);
    hash = VerifyCheckpoint(path).Hash();  // read back before anything older goes
    DeleteOldCheckpoints(config.output, config.checkpoint.keep_last,
                         config.checkpoint.keep_best ? state_.best_step : -1);
  });
  saved_step_ = state_.step;
  last_save_ = Clock::now();
  metrics_.Event("checkpoint", state_.step,
                 {{"path", "checkpoints/" + CheckpointName(state_.step)},
                  {"hash", hash},
                  {"seconds", SecondsSince(begin)}});
}

void TrainingRun::EndAfterSignal() {
  progress_->Finish();
  const std::string name = signals_.name();
  throw Error(ErrorKind::kSavedRequeue,
              "stopped by " + (name.empty() ? std::string("a signal to another rank") : name) +
                  " after step " + std::to_string(state_.step) + " of " +
                  std::to_string(session_.inputs.total_steps) + "; saved in " +
                  CheckpointsFolder(session_.config.output) + "/" + CheckpointName(saved_step_) +
                  ". Run the same command to go on.",
              /*on_all_ranks=*/true);
}

TrainSummary TrainingRun::Summarize() {
  Control& control = *session_.world.control;
  std::array<double, 3> times = {time_.steps, time_.input, time_.communication};
  control.AllReduce(std::span<double>(times), ReduceOp::kSum);
  TrainSummary summary;
  summary.steps = state_.step;
  summary.epochs = state_.epoch + (state_.step_in_epoch > 0 ? 1 : 0);
  summary.seconds = state_.seconds;
  summary.tokens = state_.tokens;
  summary.tokens_per_second =
      state_.seconds > 0 ? static_cast<double>(state_.tokens) / state_.seconds : 0;
  if (times[0] > 0) {
    summary.input_share = times[1] / times[0];
    summary.communication_share = times[2] / times[0];
    summary.compute_share = 1 - summary.input_share - summary.communication_share;
  }
  summary.peak_memory_bytes = control.AllReduce(PeakMemoryBytes(), ReduceOp::kMax);
  summary.skipped_steps = state_.skipped_steps;
  summary.final_loss = last_loss_;
  summary.best_validation_loss = state_.best_validation_loss;
  const std::string folder = CheckpointsFolder(session_.config.output) + "/";
  if (saved_step_ >= 0) summary.last_checkpoint = folder + CheckpointName(saved_step_);
  if (state_.best_step >= 0 && session_.config.checkpoint.keep_best) {
    summary.best_checkpoint = folder + CheckpointName(state_.best_step);
  }
  if (state_.step > resumed_step_) {
    metrics_.Event("end", state_.step,
                   {{"seconds", summary.seconds},
                    {"tokens", summary.tokens},
                    {"tokens_per_second", summary.tokens_per_second},
                    {"compute_share", summary.compute_share},
                    {"communication_share", summary.communication_share},
                    {"input_share", summary.input_share},
                    {"peak_memory_bytes", summary.peak_memory_bytes},
                    {"skipped_steps", summary.skipped_steps},
                    {"best_validation_loss", summary.best_validation_loss}});
  }
  return summary;
}

// The base model and every checkpoint that is kept, beside the models that the config names itself.
EvalSummary ScorePrompts(const TrainConfig& config, World& world) {
  EvalConfig eval = *config.prompt_eval;
  if (!config.model.path.empty()) eval.models.emplace("base", config.model.path);
  std::string names;
  RunTogether(*world.control, /*root_only=*/true, [&] {
    for (const auto& [name, path] : CheckpointsOf(config.output)) names += name + "\n";
  });
  world.control->Broadcast(names, /*root=*/0);
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = names.find('\n', begin);
    const std::string name = names.substr(begin, end - begin);
    eval.models.emplace(name, CheckpointsFolder(config.output) + "/" + name);
    begin = end + 1;
  }
  if (eval.output.empty()) eval.output = config.output + "/eval";
  if (eval.threads == 0) eval.threads = config.threads;
  return RunEvaluation(eval, world);
}

}  // namespace

TrainSummary RunTraining(const TrainConfig& config, World& world, std::string_view resolved_yaml) {
  KeepFreedMemory();
  TrainSummary summary;
  {
    TrainingRun run(config, world, resolved_yaml);
    summary = run.Run();
  }  // weights, gradients and moments are gone before the models to score come
  if (config.prompt_eval.has_value()) summary.prompt_eval = ScorePrompts(config, world);
  return summary;
}

std::string DryRunTraining(const TrainConfig& config, World& world) {
  const TrainingInputs inputs = OpenTrainingInputs(config, world);
  const TokenDataset& train = *inputs.train;
  std::string text = RankTable(world, inputs) + "\n";
  text += "model: " + inputs.model_config.model_type + ", " +
          FormatCount(inputs.model_config.num_parameters()) + " parameters, context of " +
          FormatCount(inputs.model_config.max_positions) + " tokens\n";
  text += "train data: " + FormatCount(train.num_examples()) + " examples, " +
          FormatCount(train.num_tokens()) + " tokens, " + FormatCount(train.num_targets()) +
          " of them targets\n";
  if (inputs.validation != nullptr) {
    text += "validation data: " + FormatCount(inputs.validation->num_examples()) + " examples, " +
            FormatCount(inputs.validation->num_targets()) + " target tokens\n";
  }
  text += "steps: " + FormatCount(inputs.total_steps) + ", " +
          FormatCount(inputs.planner->num_steps(0)) + " in the first epoch; warm-up " +
          FormatCount(Schedule(config.schedule, inputs.total_steps).warmup_steps()) + "\n";
  text += "precision: " + inputs.precision + "\n";
  text +=
      FormatMemory(EstimateMemory(inputs.model_config, config.batching.micro_batch_tokens)) + "\n";
  return text;
}

std::map<std::string, std::string> CheckpointsOf(const std::string& run_folder) {
  std::map<std::string, std::string> checkpoints;
  for (const CheckpointEntry& entry : ListCheckpoints(run_folder)) {
    checkpoints.emplace(CheckpointName(entry.step), entry.path);
  }
  return checkpoints;
}

}  // namespace breakeven
