// Pure. Notices a loss that stands far above those of the steps before it.
#ifndef BREAKEVEN_TRAINER_LOSS_WATCH_H_
#define BREAKEVEN_TRAINER_LOSS_WATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/base/fields.h"

namespace breakeven {

struct LossSpikeConfig {
  std::string action = "report";  // off | report | rollback
  double deviations = 8;          // above the mean of the window
  int64_t window_steps = 64;
  int64_t max_rollbacks = 3;  // of a run; then spikes are only reported
  void VisitFields(FieldVisitor& v);
};

// A spike is a loss that exceeds the mean of the last `window_steps` losses by `deviations` of their
// standard deviations; a deviation counts as at least a twentieth of the mean, because a loss that has
// settled varies by next to nothing. (The z-score of llm.c's outlier detector, with that floor.)
// Nothing is judged before a quarter of the window is full, and never with fewer than 8 losses.
class LossWatch {
 public:
  // `recent`: what a former process had noted, oldest first.
  LossWatch(const LossSpikeConfig& config, std::vector<double> recent);

  // How many deviations a spike is above the mean; nothing otherwise, and then the loss is noted.
  // Losses that are not finite are neither.
  std::optional<double> Look(double loss);

  const std::vector<double>& recent() const { return recent_; }
  // Back to what it was when these were `recent`.
  void Forget(std::vector<double> recent) { recent_ = std::move(recent); }

 private:
  const LossSpikeConfig config_;
  std::vector<double> recent_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_LOSS_WATCH_H_
