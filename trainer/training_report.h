// What a run says while it goes: metrics.jsonl, lines, the bar; and what it adds up for the end.
#ifndef BREAKEVEN_TRAINER_TRAINING_REPORT_H_
#define BREAKEVEN_TRAINER_TRAINING_REPORT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/base/progress.h"
#include "comm/world.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/checkpoint_saver.h"
#include "trainer/metrics_log.h"
#include "trainer/training_config.h"
#include "trainer/training_run.h"
#include "trainer/wait_split.h"

namespace breakeven {

// Speaks on rank 0 only; the other ranks only count. Every method that is not said to be anything else
// is COLLECTIVE when steps have been noted since the last one that was. `config` and `world` must outlive it.
class TrainingReport {
 public:
  TrainingReport(const TrainConfig& config, World& world, const TrainingState& start,
                 int64_t total_steps);
  // What is still unsplit is written without its split: a rank that fails waits for no other.
  ~TrainingReport();

  // `metrics` lacks what waits split into; COLLECTIVE every log_every_steps steps and after the last,
  // when the steps since then are split, written, and summed up in a line.
  void Step(const StepMetrics& metrics, StepWaits waits);
  void Skipped(const TrainingState& state);
  // A loss that LossWatch has found `deviations` above the mean.
  void Spike(int64_t step, double loss, double deviations);
  // `state` is that of a checkpoint again; what was said of steps behind it goes.
  void RollBack(const TrainingState& state, int64_t from_step);
  void Validation(const TrainingState& state, double loss, int64_t target_tokens, double seconds,
                  bool stops_early);
  void Checkpoint(const SavedCheckpoint& checkpoint);
  // COLLECTIVE. What was said so far is on the disk: a checkpoint's run must not lack the lines of steps before it.
  // Error(kIo), on all ranks.
  void Sync();
  // Ends the bar; what is said after this stands on lines of its own.
  void Finish();

  // COLLECTIVE. Writes the "end" event when this process did a step.
  TrainSummary Summarize(const TrainingState& state, int64_t saved_step);

 private:
  void Flush();  // COLLECTIVE
  void Split();  // COLLECTIVE
  void Line(const StepMetrics& last);
  std::string WhoIsLate() const;

  const TrainConfig& config_;
  World& world_;
  const int64_t total_steps_;
  MetricsLog metrics_;
  Progress progress_;
  // Since the process started, on this rank.
  int64_t num_steps_ = 0;
  double step_seconds_ = 0;
  WaitSplit waits_;
  double last_loss_;
  // Since the last split.
  std::vector<StepMetrics> unsplit_;
  std::vector<StepWaits> unsplit_waits_;
  // Since the last line.
  double loss_sum_ = 0;
  int64_t loss_targets_ = 0;
  int64_t line_tokens_ = 0;
  double line_seconds_ = 0;
  WaitSplit line_waits_;
  std::map<int, double> line_late_seconds_;  // skew by the rank that was waited for
};

// Appends what was scored after training to metrics.jsonl, a "prompt_eval" event for each arm. On
// rank 0 only, when the run's report is gone. An evaluation that is run again adds its lines again.
void LogPromptEval(const TrainConfig& config, int64_t step, const EvalSummary& summary);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_REPORT_H_
