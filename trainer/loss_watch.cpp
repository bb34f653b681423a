// Pure.
#include "trainer/loss_watch.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace breakeven {

void LossSpikeConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"action",
           "what a loss far above those before it does: report = a warning; rollback = back to the "
           "last checkpoint, and on with the data behind the spike",
           OneOf({"off", "report", "rollback"})},
          action);
  v.Visit({"deviations", "standard deviations above the mean of the window", Above(0)}, deviations);
  v.Visit({"window_steps", "losses that a loss is compared with", AtLeast(8)}, window_steps);
  v.Visit({"max_rollbacks", "then spikes are reported only", AtLeast(0)}, max_rollbacks);
}

LossWatch::LossWatch(const LossSpikeConfig& config, std::vector<double> recent)
    : config_(config), recent_(std::move(recent)) {}

std::optional<double> LossWatch::Look(double loss) {
  if (config_.action == "off" || !std::isfinite(loss)) return std::nullopt;
  const auto window = static_cast<size_t>(config_.window_steps);
  if (recent_.size() >= std::max<size_t>(8, window / 4)) {
    const auto count = static_cast<double>(recent_.size());
    double mean = 0;
    for (const double value : recent_) mean += value / count;
    double variance = 0;
    for (const double value : recent_) variance += (value - mean) * (value - mean) / (count - 1);
    const double deviation = std::max(std::sqrt(variance), std::abs(mean) / 20);
    const double above = (loss - mean) / deviation;
    if (above > config_.deviations) return above;
  }
  recent_.push_back(loss);
  // More than one where a resumed run has a smaller window.
  while (recent_.size() > window) recent_.erase(recent_.begin());
  return std::nullopt;
}

}  // namespace breakeven
