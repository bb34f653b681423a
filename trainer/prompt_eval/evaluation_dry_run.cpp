#include <algorithm>
#include <string>

#include "comm/base/progress.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/evaluation.h"
#include "trainer/prompt_eval/evaluation_inputs.h"

namespace breakeven {
namespace {

// Line of a dry run. Builds the sealed split's requests too: a field that is missing there would
// otherwise be found when the other split is scored and the look is in the ledger.
std::string DescribeRequests(const EvalConfig& config, const PromptConfig& variant,
                             const EvalData& data, const LoadedModel& model) {
  int64_t longest = 0;
  int64_t truncated = 0;
  for (const std::string& split : {config.split, config.sealed_split}) {
    if (split.empty()) continue;
    const ArmRequests requests = BuildArmRequests(config, variant, data, split, model);
    for (const DocumentRequests& document : requests.documents) {
      truncated += document.truncated ? 1 : 0;
      for (const TokenRequest& request : document.requests) {
        longest = std::max<int64_t>(longest, std::ssize(request.tokens));
      }
    }
  }
  return "  " + variant.name + ": longest request " + FormatCount(longest) + " tokens, " +
         FormatCount(truncated) + " cut at their start\n";
}

}  // namespace

std::string DryRunEvaluation(const EvalConfig& asked, World& world, bool needs_models) {
  RunTogether(*world.control, /*root_only=*/false,
              [&] { CheckEvalConfig(asked, needs_models, /*needs_output=*/false); });
  EvalConfig config = asked;
  config.precision.Resolve(world);
  const int64_t bytes_each =
      config.precision.type == "bfloat16" ? 6 : 4;  // and copies for products
  const int num_threads = SetEvalThreads(config.threads, world);
  const EvalData data = ReadSameEvalData(config, world, num_threads);
  std::string text = "task " + config.task.name + ", " + std::to_string(num_threads) +
                     " thread(s) on each of " + std::to_string(world.world_size()) +
                     " rank(s), precision " + config.precision.type + "\n";
  for (const auto& [split, documents] : data) {
    text += "split " + split + ": " + FormatCount(std::ssize(documents.documents)) +
            " documents from " + documents.path + "\n";
  }
  for (const auto& [name, path] : config.models) {
    const LoadedModel model = ReadEvalModel(name, path, world);
    if (name == config.models.begin()->first)
      CheckEvalData(config, data, model.chat, num_threads, world);
    text += "model " + name + ": " + model.config.model_type + ", " +
            FormatCount(model.config.num_parameters()) + " parameters (" +
            FormatCount(bytes_each * model.config.num_parameters() / 1000000) + " MB a rank), " +
            path + "\n";
    RunTogether(*world.control, /*root_only=*/false, [&] {
      for (const PromptConfig& variant : EvalVariants(config)) {
        text += DescribeRequests(config, variant, data, model);
      }
    });
  }
  return text;
}

}  // namespace breakeven
