// breakeven eval: scores prompt variants on models and checkpoints, documents dealt over the ranks.
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/command.h"
#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {
namespace {

nlohmann::ordered_json NumberOrNull(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

std::string SummaryJson(const EvalSummary& summary) {
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

}  // namespace

void RunEvalCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<EvalConfig>(options, world)) return;
  const EvalConfig config = ReadConfigTogether<EvalConfig>(options, world);
  if (options.dry_run) return PrintResult(world, DryRunEvaluation(config, world));
  const EvalSummary summary = RunEvaluation(config, world);
  PrintResult(world, options.json
                         ? SummaryJson(summary)
                         : FormatTable(summary) + "\nrecords: " + summary.records_path + "\n");
}

}  // namespace breakeven
