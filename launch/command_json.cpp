#include "launch/command_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace breakeven {
namespace {

nlohmann::ordered_json NumberOrNull(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

}  // namespace

std::string EvalSummaryJson(const EvalSummary& summary) {
  nlohmann::ordered_json arms = nlohmann::ordered_json::array();
  for (const ArmSummary& arm : summary.arms) {
    nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
    for (const auto& [name, metric] : arm.metrics) {
      metrics[name] = {{"value", NumberOrNull(metric.value)},
                       {"standard_error", NumberOrNull(metric.standard_error)}};
    }
    arms.push_back({{"model", arm.model},
                    {"variant", arm.variant},
                    {"split", arm.split},
                    {"n", arm.num_documents},
                    {"metrics", metrics},
                    {"seconds", arm.seconds},
                    {"tokens", arm.tokens},
                    {"mean_prompt_tokens", arm.mean_prompt_tokens},
                    {"truncated", arm.num_truncated},
                    {"chosen", arm.chosen}});
  }
  return nlohmann::ordered_json({{"arms", arms}, {"records", summary.records_path}}).dump(2) + "\n";
}

}  // namespace breakeven
