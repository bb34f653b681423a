// Pure. RUN/metrics.jsonl (fields: README.md of this folder): one JSON object a line.
#ifndef BREAKEVEN_TRAINER_METRICS_LOG_H_
#define BREAKEVEN_TRAINER_METRICS_LOG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace breakeven {

// Of one step; `step` counts from 1: the number of steps done, as in the names of checkpoints.
struct StepMetrics {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0;  // nats per target token
  double learning_rate = 0;
  double grad_norm = 0;  // before clipping
  int64_t target_tokens = 0;
  int64_t tokens = 0;
  double step_seconds = 0;
  double exposed_communication_seconds = 0;
  double skew_seconds = 0;  // waiting for a rank that comes later, mean over ranks
  double input_wait_seconds = 0;
  bool skipped = false;
};

// Appends; lines reach the file at Flush. On ranks other than 0 pass an empty path: nothing is
// written. Floats read back exactly; what is not finite becomes null. Errors: kCannotCreate, kIo.
class MetricsLog {
 public:
  using Field = std::pair<std::string_view, std::variant<int64_t, double, std::string>>;

  // Removes the lines beyond `last_step` (those of steps that a resumed run does again) and a torn
  // last line.
  MetricsLog(const std::string& path, int64_t last_step);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void Step(const StepMetrics& metrics);
  // "validation", "checkpoint", "spike", "rollback", "prompt_eval", "end". The file is then flushed.
  void Event(std::string_view event, int64_t step, const std::vector<Field>& fields);
  void Flush();
  // The same, and the lines are on the disk: before a checkpoint that stands behind them is begun.
  void Sync();
  // Removes the lines of steps beyond this one, as the constructor does.
  void CutBehind(int64_t last_step);

 private:
  void Open(int64_t last_step);

  std::string path_;
  int fd_ = -1;
  std::string pending_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_METRICS_LOG_H_
