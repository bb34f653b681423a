// Pure.
#include "comm/watchdog_config.h"

#include <string_view>

namespace breakeven {
namespace {

// None of it changes what is learned or scored.
FieldInfo Info(std::string_view name, std::string_view help, FieldLimits limits = {}) {
  return {name, help, std::move(limits), /*hashed=*/false};
}

}  // namespace

void WatchdogConfig::VisitFields(FieldVisitor& v) {
  v.Visit(Info("enabled", "end a job that hangs, with 70, naming the rank that holds it up"),
          enabled);
  v.Visit(Info("startup_seconds",
               "longest time without progress from the job's start to its first step, and between "
               "other phases; 0 = no limit",
               SecondsOrNoLimit()),
          startup_seconds);
  v.Visit(Info("step_seconds",
               "the same within steps (a micro-batch and a collective are progress); 0 = no limit",
               SecondsOrNoLimit()),
          step_seconds);
  v.Visit(Info("checkpoint_seconds", "the same while a checkpoint is written; 0 = no limit",
               SecondsOrNoLimit()),
          checkpoint_seconds);
  v.Visit(
      Info("eval_seconds", "the same in validation and scoring (a batch is progress); 0 = no limit",
           SecondsOrNoLimit()),
      eval_seconds);
  v.Visit(Info("closing_seconds",
               "the same from the end of the work until all ranks have closed; 0 = no limit. MPI's "
               "own end "
               "behind that has 300 s",
               SecondsOrNoLimit()),
          closing_seconds);
  v.Visit(
      Info(
          "learned_scale",
          "steps: also at most this many times the slowest of the last steps, but 10 s, whether or "
          "not step_seconds sets a limit; 0 = off",
          AtLeast(0)),
      learned_scale);
}

double WatchdogConfig::Limit(Phase phase) const {
  if (!enabled) return 0;
  switch (phase) {
    case Phase::kStartUp:
      return startup_seconds;
    case Phase::kInput:
    case Phase::kStep:
      return step_seconds;
    case Phase::kCheckpoint:
      return checkpoint_seconds;
    case Phase::kValidation:
    case Phase::kEval:
      return eval_seconds;
    case Phase::kClosing:
      return closing_seconds;
    case Phase::kIdle:
    case Phase::kEnded:
      return 0;
  }
  return 0;
}

std::string_view WatchdogConfig::LimitKey(Phase phase) {
  switch (phase) {
    case Phase::kStartUp:
      return "watchdog.startup_seconds";
    case Phase::kInput:
    case Phase::kStep:
      return "watchdog.step_seconds";
    case Phase::kCheckpoint:
      return "watchdog.checkpoint_seconds";
    case Phase::kValidation:
    case Phase::kEval:
      return "watchdog.eval_seconds";
    case Phase::kClosing:
      return "watchdog.closing_seconds";
    case Phase::kIdle:
    case Phase::kEnded:
      return "";
  }
  return "";
}

}  // namespace breakeven
