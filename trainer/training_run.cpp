// The story of a training run, top to bottom: set up, steps, boundaries, end.
#include "trainer/training_run.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/watched_world.h"
#include "data_pipeline/loader.h"
#include "trainer/caching_allocator.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint_saver.h"
#include "trainer/process_resources.h"
#include "trainer/stop_signals.h"
#include "trainer/tensor_bridge.h"
#include "trainer/training_report.h"
#include "trainer/training_scoring.h"
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
        saver_(session_),
        loss_watch_(session_.config.loss_spikes, state_.recent_losses),
        saved_step_(session_.resumed_here ? state_.step : -1),
        begun_step_(saved_step_) {}

  TrainSummary Run();
  std::unique_ptr<FolderLock> TakeLock() { return std::move(session_.lock); }

 private:
  TrainSummary Train();
  void StepsFromHere();  // to the end, or to a rollback
  [[noreturn]] void FailForMemory(const std::string& detail) const;
  void Step(Loader& loader);
  void CountNonfinite(bool finite);
  void LookForSpike(const StepOutcome& outcome);
  void RollBack();       // to the newest checkpoint, and on with the data from here
  void CheckReplicas();  // ranks that drifted apart are noticed before they validate or save
  void AtBoundary();     // validates, saves; ends the run by finished_ or by an exception
  void Validate();
  void Save(bool in_background = false);
  // Ends what is saved beside training, where anything is.
  void FinishSave();
  void Saved(const std::optional<SavedCheckpoint>& checkpoint);
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
  CheckpointSaver saver_;
  LossWatch loss_watch_;
  int64_t saved_step_;  // the newest step in the run's own folder, -1: none
  int64_t begun_step_;  // the newest that is there or on its way
  Clock::time_point last_save_ = Clock::now();
  bool agreed_stop_ = false;
  bool agreed_checkpoint_ = false;
  bool finished_ = false;
  bool rolls_back_ = false;  // at this boundary
};

TrainSummary TrainingRun::Run() {
  try {
    return Train();
  } catch (const Error& error) {
    // What failed is known to all ranks: they can still bring the save that is under way to its end.
    if (error.on_all_ranks()) {
      try {
        FinishSave();
      } catch (const Error& later) {
        LogWarning(std::string("a checkpoint was lost: ") + later.what());
      }
    }
    throw;
  } catch (const std::bad_alloc&) {
    FailForMemory("");
  } catch (const c10::OutOfMemoryError& error) {  // of a GPU
    FailForMemory(error.what_without_backtrace());
  } catch (const std::system_error& error) {
    // A thread needs memory for its stack: that of the saver is begun in the middle of a run.
    if (error.code() != std::errc::resource_unavailable_try_again) throw;
    FailForMemory("no thread could be started");
  }
}

void TrainingRun::FailForMemory(const std::string& detail) const {
  const TrainConfig& config = session_.config;
  throw Error(ErrorKind::kMachine,
              "out of memory at step " + std::to_string(state_.step + 1) +
                  (detail.empty() ? "" : " (" + detail + ")") +
                  ". Lower batching.micro_batch_tokens (" +
                  std::to_string(config.batching.micro_batch_tokens) +
                  " now), set activation_checkpointing: full (" + config.activation_checkpointing +
                  " now)" + (session_.inputs.shard ? "" : ", optimizer.shard: true") +
                  (config.checkpoint.asynchronous ? ", checkpoint.asynchronous: false" : "") +
                  ", or start fewer ranks a host; `breakeven train --dry-run` says what takes how "
                  "much.");
}

void TrainingRun::StepsFromHere() {
  LoaderOptions options;
  options.drop_tails = true;
  options.rank = session_.world.rank();
  options.start = {state_.epoch, state_.step_in_epoch};
  options.num_steps = session_.inputs.total_steps - state_.step;
  Loader loader(*session_.inputs.train, *session_.inputs.planner, options);
  while (!finished_ && !rolls_back_) {
    FaultPoint("train.step", state_.step);
    Step(loader);
    AtBoundary();
  }
  loader.Stop();
}

TrainSummary TrainingRun::Train() {
  finished_ = AtLastStep() || PatienceIsOver();
  // A run that was stopped between a step and its validation owes it.
  if (ValidationDue()) Validate();
  while (!finished_) {
    StepsFromHere();
    if (rolls_back_) RollBack();
  }
  if (begun_step_ != state_.step) Save();
  FinishSave();
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
  const StepResult result =
      RunStep(session_, *loaded, stop, checkpoint_due, /*saving=*/saver_.busy());
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
  LookForSpike(result.outcome);
  if (saver_.under_way() && !result.outcome.saving) Saved(saver_.Advance());
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
  FinishSave();
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

void TrainingRun::LookForSpike(const StepOutcome& outcome) {
  if (!outcome.finite) return;
  const double loss =
      outcome.loss + (InjectedErrno("train.loss_spike", state_.step) != 0 ? 100.0 : 0.0);
  const std::optional<double> deviations = loss_watch_.Look(loss);
  state_.recent_losses = loss_watch_.recent();
  if (!deviations.has_value()) return;
  report_.Spike(state_.step, loss, *deviations);
  const LossSpikeConfig& config = session_.config.loss_spikes;
  rolls_back_ = config.action == "rollback" && begun_step_ >= 0 && !AtLastStep() &&
                state_.rollbacks < config.max_rollbacks;
}

void TrainingRun::RollBack() {
  const PhaseScope phase(session_.world.watchdog.get(), Phase::kCheckpoint, state_.step);
  rolls_back_ = false;
  FinishSave();
  const int64_t from_step = state_.step;
  session_.RollBack(CheckpointsFolder(session_.config.output) + "/" + CheckpointName(saved_step_));
  loss_watch_.Forget(state_.recent_losses);
  report_.RollBack(state_, from_step);
}

void TrainingRun::AtBoundary() {
  const CheckpointConfig& checkpoint = session_.config.checkpoint;
  CheckReplicas();
  if (rolls_back_ && !agreed_stop_) return;  // these weights are neither validated nor saved
  rolls_back_ = false;
  finished_ = AtLastStep();
  const int64_t best_before = state_.best_step;
  // With a signal pending there may be little time: save now, the resumed run owes the validation.
  if (ValidationDue() && (finished_ || !agreed_stop_)) Validate();
  const bool improved = state_.best_step != best_before;
  const bool at_interval = checkpoint.every_steps > 0 && state_.step % checkpoint.every_steps == 0;
  if (finished_ || agreed_stop_ || agreed_checkpoint_ || at_interval ||
      (improved && checkpoint.keep_best)) {
    Save(/*in_background=*/checkpoint.asynchronous && !finished_ && !agreed_stop_);
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

void TrainingRun::Save(bool in_background) {
  const PhaseScope phase(session_.world.watchdog.get(), Phase::kCheckpoint, state_.step);
  report_.Sync();
  FinishSave();  // one at a time
  last_save_ = Clock::now();
  begun_step_ = state_.step;
  if (!saver_.Begin(state_, in_background)) FinishSave();
}

void TrainingRun::FinishSave() {
  if (!saver_.under_way()) return;
  const PhaseScope phase(session_.world.watchdog.get(), Phase::kCheckpoint, state_.step);
  Saved(saver_.Finish());
}

void TrainingRun::Saved(const std::optional<SavedCheckpoint>& checkpoint) {
  if (!checkpoint.has_value()) return;
  saved_step_ = checkpoint->step;
  report_.Checkpoint(*checkpoint);
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
