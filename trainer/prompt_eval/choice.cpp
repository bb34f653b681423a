// Pure.
#include "trainer/prompt_eval/choice.h"

#include <cmath>
#include <map>
#include <string>

#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {

bool IsBetter(double a, double b, bool lower_is_better) {
  if (std::isnan(a)) return false;
  if (std::isnan(b)) return true;
  return lower_is_better ? a < b : a > b;
}

size_t BestOf(std::span<const double> scores, bool lower_is_better) {
  size_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i) {
    if (IsBetter(scores[i], scores[best], lower_is_better)) best = i;
  }
  return best;
}

std::vector<size_t> ChooseArms(std::span<const ArmSummary> arms, std::string_view metric) {
  const bool lower_is_better = LowerIsBetter(metric);
  const std::string key(metric);
  std::vector<size_t> chosen;
  std::map<std::string, size_t> place;  // run → its place in `chosen`
  for (size_t i = 0; i < arms.size(); ++i) {
    const auto [entry, is_new] = place.emplace(RunOfModel(arms[i].model), chosen.size());
    if (is_new) {
      chosen.push_back(i);
      continue;
    }
    size_t& best = chosen[entry->second];
    if (IsBetter(arms[i].metrics.at(key).value, arms[best].metrics.at(key).value,
                 lower_is_better)) {
      best = i;
    }
  }
  return chosen;
}

}  // namespace breakeven
