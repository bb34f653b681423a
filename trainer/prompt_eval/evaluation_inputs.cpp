#include "trainer/prompt_eval/evaluation_inputs.h"

#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "trainer/prompt_eval/eval_checks.h"

namespace breakeven {

void CheckEvalConfig(const EvalConfig& config, bool needs_models, bool needs_output) {
  config.Validate();
  if (needs_models && config.models.empty()) {
    throw Error(ErrorKind::kUsage,
                "models: none given; expected 'name: folder' for each model to score");
  }
  if (needs_output && config.output.empty()) {
    throw Error(ErrorKind::kUsage, "output: no folder given for the records and the table");
  }
  if (!config.prompt_search.has_value() || config.models.empty()) return;
  const std::string& asked = config.prompt_search->model;
  if (!asked.empty() && config.models.count(asked) == 0) {
    throw Error(ErrorKind::kUsage, "prompt_search.model: '" + asked + "' is none of `models`");
  }
}

EvalData ReadSameEvalData(const EvalConfig& config, World& world, int num_threads) {
  EvalData data;
  RunTogether(*world.control, /*root_only=*/false,
              [&] { data = ReadEvalData(config, num_threads); });
  for (const auto& [split, documents] : data) {
    CheckSameOnAllRanks(*world.control, ErrorKind::kBadData,
                        "content of split '" + split + "' in " + documents.path,
                        documents.content_hash);
  }
  return data;
}

void CheckEvalData(const EvalConfig& config, const EvalData& data, const ChatFormat& chat,
                   int num_threads, World& world) {
  std::vector<std::string> warnings;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    warnings = CheckShots(config, data, chat, num_threads);
    for (const std::string& split : {config.split, config.sealed_split}) {
      if (split.empty()) continue;
      for (std::string& sentence : CheckAnswers(config.task, EvalVariants(config), chat,
                                                data.at(split), config.allow_answer_in_prompt)) {
        warnings.push_back(std::move(sentence));
      }
    }
  });
  for (const std::string& warning : warnings) {
    if (world.is_root()) LogWarning(warning);
  }
}

}  // namespace breakeven
