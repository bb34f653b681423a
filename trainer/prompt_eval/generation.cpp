// `breakeven generate`: prompts from a config or a file, through the same templates as evaluation.
#include "trainer/prompt_eval/generation.h"

#include "comm/base/error.h"
#include "comm/base/progress.h"
#include "data_pipeline/document.h"
#include "data_pipeline/example_renderer.h"
#include "trainer/prompt_eval/generator.h"
#include "trainer/prompt_eval/loaded_model.h"
#include "trainer/prompt_eval/requests.h"

namespace breakeven {
namespace {

// Prompt tokens of a batch; new tokens come on top.
constexpr int64_t kBatchTokens = 2048;

std::vector<Document> ReadPrompts(const GenerateConfig& config) {
  std::vector<Document> documents;
  if (config.prompts_file.empty()) {
    for (size_t i = 0; i < config.prompts.size(); ++i) {
      Document document;
      document.fields.Set("prompt", Value(config.prompts[i]));
      document.line = i + 1;
      documents.push_back(std::move(document));
    }
    return documents;
  }
  DataFileConfig file;
  file.path = config.prompts_file;
  documents = ReadDocuments(file, /*num_threads=*/1);
  for (Document& document : documents) {
    const Value* text = document.fields.Find("text");
    if (document.fields.Find("prompt") == nullptr && text != nullptr) {
      document.fields.Set("prompt", Value(*text));  // plain text: one prompt a line
    }
    const Value* prompt = document.fields.Find("prompt");
    if (prompt == nullptr || !prompt->is<std::string>()) {
      throw Error(ErrorKind::kBadData, config.prompts_file + " line " +
                                           std::to_string(document.line) +
                                           ": no text in field 'prompt'");
    }
  }
  if (documents.empty()) throw Error(ErrorKind::kBadData, config.prompts_file + ": no prompts");
  return documents;
}

// What the model is given: the prompt itself, or a turn of a chat. It goes through the task's
// renderer, so that it is the prompt that an evaluation with these settings would ask.
std::vector<std::string> RenderPrompts(const GenerateConfig& config, const LoadedModel& model,
                                       const std::vector<Document>& documents) {
  TaskConfig task;
  task.name = "generate";
  task.output_type = "generate_until";
  task.doc_to_text = "prompt";
  task.doc_to_target = "prompt";
  PromptConfig prompt;
  prompt.name = "generate";
  prompt.apply_chat_template = config.apply_chat_template;
  prompt.system = config.system;
  const ExampleRenderer renderer(task, prompt, model.chat);
  std::vector<std::string> texts;
  for (const Document& document : documents) texts.push_back(renderer.Context(document, {}));
  return texts;
}

std::vector<std::vector<int32_t>> EncodePrompts(const Tokenizer& tokenizer,
                                                const std::vector<std::string>& texts) {
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < texts.size(); ++i) {
    try {
      prompts.push_back(PromptTokens(tokenizer, texts[i]));
    } catch (const Error& error) {
      throw Error(error.kind(),
                  "prompt " + std::to_string(i) + " (counted from 0): " + error.what());
    }
  }
  return prompts;
}

}  // namespace

std::vector<Generation> RunGeneration(const GenerateConfig& config, World& world) {
  std::vector<Document> documents;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    config.Validate();
    documents = ReadPrompts(config);
  });
  SetEvalThreads(config.threads, world);
  ScoringPrecision precision = config.precision;
  precision.Resolve(world);
  LoadedModel model = LoadEvalModel("model", config.model, precision, world);
  std::vector<std::vector<int32_t>> prompts;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    prompts = EncodePrompts(*model.tokenizer, RenderPrompts(config, model, documents));
  });
  GenerateOptions options;
  options.max_new_tokens = config.max_new_tokens;
  options.until = config.until;
  options.stop_ids = model.stop_ids;
  options.sampling = {config.temperature, config.top_p, config.top_k};
  options.seed = static_cast<uint64_t>(config.seed);
  Progress progress("generate", std::ssize(prompts) / world.world_size(),
                    {.enabled = world.is_root()});
  const GenerateResult result =
      GenerateTexts(*model.model, *model.tokenizer, *world.control, prompts, options, kBatchTokens,
                    [&](int64_t n) { progress.Add(n); });
  progress.Finish();
  std::vector<Generation> generations;
  for (size_t i = 0; i < documents.size(); ++i) {
    const GeneratedText& text = result.texts[i];
    generations.push_back({*documents[i].fields.Find("prompt")->get_if<std::string>(), text.text,
                           text.tokens, text.stopped ? "stop" : "length"});
  }
  return generations;
}

}  // namespace breakeven
