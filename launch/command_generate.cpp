// breakeven generate: text from a model, greedy or sampled.
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "data_pipeline/tokenizer/tokenizer.h"
#include "launch/command.h"
#include "trainer/model/model_config.h"
#include "trainer/prompt_eval/generation.h"

namespace breakeven {
namespace {

std::string GenerationJson(const Generation& generation) {
  const nlohmann::ordered_json json = {{"prompt", generation.prompt},
                                       {"text", generation.text},
                                       {"tokens", generation.tokens},
                                       {"finish", generation.finish}};
  return json.dump() + "\n";
}

// Prompt and answer as a reader sees them in a terminal.
std::string GenerationText(const Generation& generation, size_t index) {
  return "--- prompt " + std::to_string(index) + "\n" + generation.prompt + "\n--- answer (" +
         std::to_string(generation.tokens.size()) + " tokens, " + generation.finish + ")\n" +
         generation.text + "\n";
}

// What can be checked without loading weights.
std::string DryRun(const GenerateConfig& config) {
  const ModelConfig model = ReadModelConfig(config.model);
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::Load(config.model);
  if (config.apply_chat_template && tokenizer->chat_template().empty()) {
    throw Error(ErrorKind::kUsage,
                "apply_chat_template is true, but " + config.model + " has no chat template");
  }
  std::string text = "model " + config.model + ": " + model.model_type + ", " +
                     FormatCount(model.num_parameters()) + " parameters, up to " +
                     FormatCount(model.max_positions) + " tokens\n";
  if (!config.prompts_file.empty()) {
    const std::string contents = ReadFile(config.prompts_file);
    text += "prompts from " + config.prompts_file + " (" +
            FormatCount(static_cast<int64_t>(contents.size())) + " bytes)\n";
  } else {
    for (const std::string& prompt : config.prompts) {
      text += std::to_string(tokenizer->Encode(prompt).size()) + " tokens: " + prompt + "\n";
    }
  }
  return text;
}

}  // namespace

void RunGenerateCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<GenerateConfig>(options, world)) return;
  GenerateConfig config = ReadConfigTogether<GenerateConfig>(options, world);
  RunTogether(*world.control, /*root_only=*/false,
              [&] { config.model = ResolveModelPath(config.model); });
  std::string text;
  if (options.dry_run) {
    RunTogether(*world.control, /*root_only=*/true, [&] { text = DryRun(config); });
    return PrintResult(world, text);
  }
  world.device = BindDevice(*world.control, config.device.Options());
  const std::vector<Generation> generations = RunGeneration(config, world);
  const bool as_json = options.json || !config.output.empty();
  for (size_t i = 0; i < generations.size(); ++i) {
    text += as_json ? GenerationJson(generations[i]) : GenerationText(generations[i], i);
  }
  if (config.output.empty()) return PrintResult(world, text);
  RunTogether(*world.control, /*root_only=*/true, [&] {
    WriteFileDurably(config.output, text);
    LogInfo("wrote " + std::to_string(generations.size()) + " answers to " + config.output);
  });
}

}  // namespace breakeven
