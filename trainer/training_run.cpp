// The story of a training run, top to bottom: set up, steps, boundaries, end (design.md §4).
#include "trainer/training_run.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/watched_world.h"
#include "data_pipeline/loader.h"
#include "trainer/caching_allocator.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/process_resources.h"
#include "trainer/stop_signals.h"
#include "trainer/tensor_bridge.h"
#include "trainer/training_report.h"
#include "trainer/training_session.h"
#include "trainer/training_step.h"

namespace breakeven {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Every method is COLLECTIVE and takes the same turn on every rank: all that it decides by is the
// same on every rank.
class TrainingRun {
 public:
  TrainingRun(const TrainConfig& config, World& world, std::string_view resolved_yaml)
      : session_(config, world, resolved_yaml),
        state_(session_.state),
        report_(session_.config, world, state_, session_.inputs.total_steps),
        saved_step_(session_.resumed_here ? state_.step : -1) {}

  TrainSummary Run();
  std::unique_ptr<FolderLock> TakeLock() { return std::move(session_.lock); }

 private:
  void Step(Loader& loader);
  void CountNonfinite(bool finite);
  void CheckReplicas();  // ranks that drifted apart are noticed before they validate or save
  void AtBoundary();     // validates, saves; ends the run by finished_ or by an exception
  void Validate();
  void Save();
  [[noreturn]] void EndAfterSignal();

  bool ValidationDue() const;
  bool AtLastStep() const { return state_.step >= session_.inputs.total_steps; }
  bool PatienceIsOver() const {
    const int64_t patience = session_.config.validation.early_stopping_patience;
    return patience > 0 && state_.validations_without_gain >= patience;
  }

  const StopSignals signals_;
  TrainingSession session_;
  TrainingState& state_;
  TrainingReport report_;
  int64_t saved_step_;  // the newest step in the run's own folder, -1: none
  Clock::time_point last_save_ = Clock::now();
  bool agreed_stop_ = false;
  bool agreed_checkpoint_ = false;
  bool finished_ = false;
};

TrainSummary TrainingRun::Run() {
  LoaderOptions options;
  options.drop_tails = true;
  options.rank = session_.world.rank();
  options.start = {state_.epoch, state_.step_in_epoch};
  options.num_steps = session_.inputs.total_steps - state_.step;
  Loader loader(*session_.inputs.train, *session_.inputs.planner, options);

  finished_ = AtLastStep() || PatienceIsOver();
  // A run that was stopped between a step and its validation owes it.
  if (ValidationDue()) Validate();
  while (!finished_) {
    FaultPoint("train.step", state_.step);
    Step(loader);
    AtBoundary();
  }
  loader.Stop();
  if (saved_step_ != state_.step) Save();
  report_.Finish();
  TrainSummary summary = report_.Summarize(state_, saved_step_);
  if (agreed_stop_ && session_.config.prompt_eval.has_value()) EndAfterSignal();
  return summary;
}

void TrainingRun::Step(Loader& loader) {
  const Clock::time_point begin = Clock::now();
  session_.world.EnterPhase(Phase::kInput, state_.step);
  FaultPoint("train.input", state_.step);
  const std::optional<LoadedStep> loaded = loader.Next();
  BE_CHECK(loaded.has_value(), "the loader ended before the last step");
  const double input_seconds = SecondsSince(begin);
  session_.world.EnterPhase(Phase::kStep, state_.step);

  const bool stop = signals_.requested() || InjectedErrno("train.stop_signal", state_.step) != 0;
  const double every_seconds = 60 * session_.config.checkpoint.every_minutes;
  const bool checkpoint_due =
      session_.world.is_root() && every_seconds > 0 && SecondsSince(last_save_) >= every_seconds;
  const StepResult result = RunStep(session_, *loaded, stop, checkpoint_due);
  const double seconds = SecondsSince(begin);

  agreed_stop_ = result.outcome.stop;
  agreed_checkpoint_ = result.outcome.checkpoint_due;
  ++state_.step;
  state_.epoch = loaded->next.epoch;
  state_.step_in_epoch = loaded->next.step;
  state_.num_updates = session_.optimizer->num_updates();
  state_.tokens += loaded->plan.global_tokens;
  state_.seconds += seconds;
  report_.Step({.step = state_.step,
                .epoch = loaded->plan.epoch,
                .loss = result.outcome.loss,
                .learning_rate = result.learning_rate,
                .grad_norm = result.outcome.grad_norm,
                .target_tokens = loaded->plan.global_target_tokens,
                .tokens = loaded->plan.global_tokens,
                .step_seconds = seconds,
                .skipped = !result.outcome.finite},
               {.collectives = result.waits, .input = input_seconds});
  CountNonfinite(result.outcome.finite);
}

void TrainingRun::CheckReplicas() {
  const int64_t every_steps = session_.config.check_replicas_every_steps;
  if (InjectedErrno("train.weight_flip", state_.step) != 0) {  // a bit that memory lost
    session_.storage.parameters_P.narrow(0, 0, 1).view(at::kInt).bitwise_xor_(1);
  }
  if (session_.world.world_size() == 1 || every_steps == 0) return;
  if (state_.step % every_steps == 0) CheckWeightsOverRanks(session_);
}

void TrainingRun::CountNonfinite(bool finite) {
  if (finite) {
    state_.nonfinite_in_a_row = 0;
    return;
  }
  ++state_.skipped_steps;
  ++state_.nonfinite_in_a_row;
  report_.Skipped(state_);
  if (state_.nonfinite_in_a_row < session_.config.max_nonfinite_steps) return;
  report_.Finish();
  throw Error(
      ErrorKind::kInternal,
      "loss or gradient not finite in " + std::to_string(state_.nonfinite_in_a_row) +
          " steps in a row (max_nonfinite_steps), the last is step " + std::to_string(state_.step) +
          ". Lower optimizer.learning_rate or look at the data of these steps; " +
          (saved_step_ >= 0 ? "the checkpoint of step " + std::to_string(saved_step_) + " is kept."
                            : std::string("nothing was saved yet.")),
      /*on_all_ranks=*/true);
}

void TrainingRun::AtBoundary() {
  const CheckpointConfig& checkpoint = session_.config.checkpoint;
  CheckReplicas();
  finished_ = AtLastStep();
  const int64_t best_before = state_.best_step;
  // With a signal pending there may be little time: save now, the resumed run owes the validation.
  if (ValidationDue() && (finished_ || !agreed_stop_)) Validate();
  const bool improved = state_.best_step != best_before;
  const bool at_interval = checkpoint.every_steps > 0 && state_.step % checkpoint.every_steps == 0;
  if (finished_ || agreed_stop_ || agreed_checkpoint_ || at_interval ||
      (improved && checkpoint.keep_best)) {
    Save();
  }
  if (agreed_stop_ && !finished_) EndAfterSignal();
}

bool TrainingRun::ValidationDue() const {
  if (session_.inputs.validation == nullptr || state_.step == 0) return false;
  if (state_.last_validation_step == state_.step) return false;
  const int64_t every_steps = session_.config.validation.every_steps;
  if (AtLastStep()) return true;
  return every_steps > 0 ? state_.step % every_steps == 0 : state_.step_in_epoch == 0;
}

void TrainingRun::Validate() {
  const PhaseScope phase(session_.world.watchdog.get(), Phase::kValidation, state_.step);
  FaultPoint("train.validate", state_.step);
  const Clock::time_point begin = Clock::now();
  const double loss = ValidationLoss(session_);
  state_.last_validation_step = state_.step;
  if (!std::isnan(loss) &&
      !(loss >= state_.best_validation_loss)) {  // the first one is the best so far
    state_.best_validation_loss = loss;
    state_.best_step = state_.step;
    state_.validations_without_gain = 0;
  } else {
    ++state_.validations_without_gain;
  }
  const bool stops_early = PatienceIsOver() && !AtLastStep();
  if (stops_early) finished_ = true;
  report_.Validation(state_, loss, session_.inputs.validation->num_targets(), SecondsSince(begin),
                     stops_early);
}

void TrainingRun::Save() {
  const PhaseScope phase(session_.world.watchdog.get(), Phase::kCheckpoint, state_.step);
  const TrainConfig& config = session_.config;
  const Clock::time_point begin = Clock::now();
  report_.Flush();
  CheckWeightsOverRanks(session_);
  const auto on_root = [this](const auto& work) {
    RunTogether(*session_.world.control, /*root_only=*/true, work);
  };
  std::string hash;
  std::unique_ptr<CheckpointWriter> writer;
  on_root([&] {
    writer = std::make_unique<CheckpointWriter>(config.output, state_.step);
    writer->Weights(*session_.model, session_.storage, session_.companions);
  });
  for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
    const at::Tensor& whole_P = session_.WholeMoment(moment);
    on_root([&] { writer->Put(moment, whole_P); });
  }
  on_root([&] {
    const std::string path = writer->Finish(state_);
    hash = VerifyCheckpoint(path).Hash();  // read back before anything older goes
    DeleteOldCheckpoints(config.output, config.checkpoint.keep_last,
                         config.checkpoint.keep_best ? state_.best_step : -1);
  });
  saved_step_ = state_.step;
  last_save_ = Clock::now();
  report_.Checkpoint(state_.step, hash, SecondsSince(begin));
}

void TrainingRun::EndAfterSignal() {
  report_.Finish();
  const std::string name = signals_.name();
  throw Error(
      ErrorKind::kSavedRequeue,
      "stopped by " + (name.empty() ? std::string("a signal to another rank") : name) +
          " after step " + std::to_string(state_.step) + " of " +
          std::to_string(session_.inputs.total_steps) + "; saved in " +
          CheckpointsFolder(session_.config.output) + "/" + CheckpointName(saved_step_) +
          (session_.config.resume == "auto" ? ". Run the same command to go on."
                                            : ". Run the same command with resume: auto to go on."),
      /*on_all_ranks=*/true);
}

// The base model and every checkpoint that is kept, beside the models that the config names itself.
EvalSummary ScorePrompts(const TrainConfig& config, World& world) {
  EvalConfig eval = PromptEvalBefore(config);
  std::string names;  // rank 0's view of the folder, one a line
  RunTogether(*world.control, /*root_only=*/true, [&] {
    for (const auto& [name, path] : CheckpointsOf(config.output)) names += name + "\n";
  });
  world.control->Broadcast(names, /*root=*/0);
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = names.find('\n', begin);
    const std::string name = names.substr(begin, end - begin);
    // Names with the same word before '@' are one run: dev chooses one of its checkpoints.
    eval.models.emplace("tuned@" + name, CheckpointsFolder(config.output) + "/" + name);
    begin = end + 1;
  }
  if (eval.output.empty()) eval.output = config.output + "/eval";
  SetWatch(world, eval.watchdog.value_or(config.watchdog));
  return RunEvaluation(eval, world);
}

EvalSummary ScorePromptsAfter(const TrainSummary& summary, const TrainConfig& config,
                              World& world) {
  try {
    return ScorePrompts(config, world);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kSavedRequeue) throw;
    throw Error(
        error.kind(),
        "the training is done and saved in " + summary.last_checkpoint + "; " + error.what(),
        error.on_all_ranks());
  }
}

void RefuseControlMeasurement(const TrainConfig& config) {
  if (config.communicate) return;
  throw Error(ErrorKind::kUsage,
              "communicate: false: the ranks would train apart from each other. It is for the "
              "control measurement of `bench step`; leave it out.",
              /*on_all_ranks=*/true);
}

}  // namespace

TrainSummary RunTraining(const TrainConfig& config, World& world, std::string_view resolved_yaml) {
  RefuseControlMeasurement(config);
  const StopSignals signals;  // also between training and scoring, where neither's own are there
  PrepareDevice(world.device, config.deterministic);
  KeepFreedMemory();
  InstallCachingAllocator();
  SetWatch(world, config.watchdog);
  const PhaseScope start_up(world.watchdog.get(), Phase::kStartUp);
  if (config.prompt_eval.has_value()) CheckPromptEval(config, world);
  TrainSummary summary;
  std::unique_ptr<FolderLock> lock;  // no other run may touch the checkpoints that are scored
  {
    TrainingRun run(config, world, resolved_yaml);
    summary = run.Run();
    lock = run.TakeLock();
  }  // weights, gradients and moments are gone before the models to score come
  if (config.prompt_eval.has_value()) {
    summary.prompt_eval = ScorePromptsAfter(summary, config, world);
    RunTogether(*world.control, /*root_only=*/true,
                [&] { LogPromptEval(config, summary.steps, *summary.prompt_eval); });
  }
  return summary;
}

std::map<std::string, std::string> CheckpointsOf(const std::string& run_folder) {
  std::map<std::string, std::string> checkpoints;
  for (const CheckpointEntry& entry : ListCheckpoints(run_folder)) {
    checkpoints.emplace(CheckpointName(entry.step), entry.path);
  }
  return checkpoints;
}

}  // namespace breakeven
