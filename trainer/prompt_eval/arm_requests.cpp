// An arm before its first forward pass: what is asked, and the hash of all that can change its scores.
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "trainer/prompt_eval/answer_scorer.h"
#include "trainer/prompt_eval/arm.h"
#include "trainer/prompt_eval/generation_plan.h"
#include "trainer/prompt_eval/shots.h"

namespace breakeven {
namespace {

bool IsGeneration(const EvalConfig& config) { return config.task.output_type == "generate_until"; }

int64_t MaxLength(const EvalConfig& config, const LoadedModel& model) {
  const int64_t positions = model.config.max_positions;
  if (config.max_length > positions) {
    throw Error(ErrorKind::kUsage, "max_length is " + std::to_string(config.max_length) +
                                       ", but model '" + model.name + "' has " +
                                       std::to_string(positions) +
                                       " positions; make it smaller, or 0");
  }
  return config.max_length > 0 ? config.max_length : positions;
}

std::vector<std::string> StopTexts(const EvalConfig& config, const PromptConfig& variant) {
  if (!config.task.until.empty()) return config.task.until;
  if (config.task.until_end_of_text) return {};
  // An empty delimiter would stop every text at once.
  const std::string delimiter = *ResolvePrompt(config.task, variant).fewshot_delimiter;
  if (delimiter.empty()) return {};
  return {delimiter};
}

std::vector<std::vector<int32_t>> PromptsOf(const ArmRequests& requests) {
  std::vector<std::vector<int32_t>> prompts;
  for (const DocumentRequests& document : requests.documents) {
    prompts.push_back(document.requests.front().tokens);
  }
  return prompts;
}

// The solved examples that stand in the task file.
EvalDocuments SampleDocuments(const TaskConfig& task) {
  EvalDocuments samples;
  samples.split = "samples";
  samples.path = "fewshot_samples of task '" + task.name + "'";
  Hasher hasher;
  for (size_t i = 0; i < task.fewshot_samples.size(); ++i) {
    const std::string where = samples.path + ", number " + std::to_string(i);
    const Value value = ParseJson(task.fewshot_samples[i], where);
    const Dict* fields = value.get_if<Dict>();
    if (fields == nullptr) throw Error(ErrorKind::kUsage, where + ": expected a JSON object");
    const std::string json = ToJson(value);
    samples.documents.push_back({*fields, i + 1});
    samples.ids.push_back(std::to_string(i));
    samples.hashes.push_back(Hash64(json));
    hasher.UpdateField(json);
  }
  samples.content_hash = hasher.Hex();
  return samples;
}

ShotTexts TextsForShots(const PromptConfig& variant, const ExampleRenderer& renderer,
                        std::span<const Document> pool, std::span<const Document> asked) {
  ShotTexts texts;
  if (variant.num_fewshot == 0) return texts;
  if (variant.fewshot_sampler == "balanced") {
    for (const Document& document : pool) texts.labels.push_back(renderer.Target(document));
  } else if (variant.fewshot_sampler == "nearest") {
    for (const Document& document : pool) texts.questions.push_back(renderer.Question(document));
    for (const Document& document : asked) texts.asked.push_back(renderer.Question(document));
  }
  return texts;
}

void AddFilters(const std::vector<AnswerPipelineConfig>& pipelines, Hasher& hasher) {
  const auto add = [&](const std::string& value) { hasher.UpdateField(value); };
  for (const AnswerPipelineConfig& pipeline : pipelines) {
    add(pipeline.name);
    for (const AnswerFilterConfig& step : pipeline.filter) {
      add(step.function);
      add(step.regex_pattern);
      add(std::to_string(step.group_select));
      add(step.fallback);
      add(step.ignore_case ? "1" : "0");
      add(step.ignore_punctuation ? "1" : "0");
      for (const std::string& pattern : step.regexes_to_ignore) add(pattern);
      for (const auto& [answer, mapped] : step.mapping_dict) {
        add(answer);
        add(mapped);
      }
      add(step.default_value);
    }
  }
}

}  // namespace

EvalData ReadEvalData(const EvalConfig& config, int num_threads) {
  EvalData data;
  const auto read = [&](const std::string& split, int64_t limit) {
    if (!split.empty() && data.count(split) == 0) {
      data.emplace(split, ReadEvalDocuments(config.task, split, limit, num_threads));
    }
  };
  read(config.split, config.limit);
  read(config.sealed_split, config.limit);
  for (const PromptConfig& variant : EvalVariants(config)) {
    if (variant.num_fewshot == 0) continue;
    if (variant.fewshot_split != "samples") {
      read(variant.fewshot_split, 0);
    } else if (data.count("samples") == 0) {
      data.emplace("samples", SampleDocuments(config.task));
    }
  }
  return data;
}

EvalData PartOf(const EvalData& data, const std::string& split, std::span<const int64_t> places) {
  EvalData part;
  for (const auto& [name, documents] : data) {
    if (name != split) part.emplace(name, documents);
  }
  const EvalDocuments& all = data.at(split);
  EvalDocuments& asked = part[split];
  asked.split = all.split;
  asked.path = all.path;
  asked.content_hash = all.content_hash;
  for (const int64_t place : places) {
    const auto i = static_cast<size_t>(place);
    asked.documents.push_back(all.documents[i]);
    asked.ids.push_back(all.ids[i]);
    asked.hashes.push_back(all.hashes[i]);
  }
  return part;
}

ArmRequests BuildArmRequests(const EvalConfig& config, const PromptConfig& variant,
                             const EvalData& data, const std::string& split,
                             const LoadedModel& model) {
  const EvalDocuments& asked = data.at(split);
  const ExampleRenderer renderer(config.task, variant, model.chat);
  std::span<const Document> pool;
  std::span<const uint64_t> pool_hashes;
  if (variant.num_fewshot > 0) {
    pool = data.at(variant.fewshot_split).documents;
    pool_hashes = data.at(variant.fewshot_split).hashes;
  }
  const auto is_document = [&](int64_t shot, int64_t document) {
    return pool_hashes[shot] == asked.hashes[document];
  };
  const auto shots = DrawShots(variant, std::ssize(pool), std::ssize(asked.documents), is_document,
                               TextsForShots(variant, renderer, pool, asked.documents));
  RequestOptions options;
  options.max_length = MaxLength(config, model);
  options.rolling_bos_scored = config.rolling_bos == "lm_eval";
  options.max_new_tokens = IsGeneration(config) ? config.task.max_gen_toks : 0;
  ArmRequests requests;
  requests.template_hash = renderer.fingerprint();
  requests.documents = BuildRequests(config.task, variant, renderer, *model.tokenizer,
                                     asked.documents, pool, shots, options);
  requests.calibration = BuildCalibration(variant, renderer, *model.tokenizer, asked.documents,
                                          pool, shots, options.max_length);
  for (const Document& document : asked.documents) {
    requests.groups.push_back(renderer.Group(document));
  }
  return requests;
}

BatchPlan PlanGenerationOf(const EvalConfig& config, const ArmRequests& requests,
                           PrefixSharing sharing) {
  return PlanGeneration(PromptsOf(requests),
                        {config.generation_batch, config.batch_tokens, config.task.max_gen_toks},
                        sharing);
}

GenerateResult GenerateArm(const EvalConfig& config, const PromptConfig& variant,
                           const ArmRequests& requests, LoadedModel& model, World& world,
                           const std::function<void(int64_t)>& on_batch, PrefixSharing sharing) {
  GenerateOptions options;
  options.max_new_tokens = config.task.max_gen_toks;
  options.until = StopTexts(config, variant);
  options.stop_ids = model.stop_ids;
  options.batch_prompts = config.generation_batch;
  options.max_length = MaxLength(config, model);
  return GenerateTexts(*model.model, *model.tokenizer, *world.control, PromptsOf(requests), options,
                       config.batch_tokens, on_batch, sharing);
}

std::string ArmHash(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
                    const LoadedModel& model) {
  Hasher hasher;
  const auto add = [&](const std::string& value) { hasher.UpdateField(value); };
  add(model.hash);
  add(model.config.raw_json);
  add(model.tokenizer->fingerprint());
  add(ExampleRenderer(config.task, variant, model.chat).fingerprint());
  add(config.task.output_type);
  if (variant.num_fewshot > 0) {
    add(std::to_string(variant.num_fewshot));
    add(variant.fewshot_sampler);
    // The first n are the same for every seed.
    if (variant.fewshot_sampler != "first_n") add(std::to_string(variant.fewshot_seed));
    add(data.at(variant.fewshot_split).content_hash);
  }
  add(std::to_string(MaxLength(config, model)));
  if (config.precision.type != "float32") add(config.precision.type);
  if (config.task.output_type == "loglikelihood_rolling") add(config.rolling_bos);
  if (IsGeneration(config)) {
    for (const std::string& stop : StopTexts(config, variant)) add(stop);
    for (const int32_t id : model.stop_ids) add(std::to_string(id));
    add(std::to_string(config.task.max_gen_toks));
    const ExactMatchConfig& match = ExactMatchOf(config.task, config.exact_match);
    for (bool flag :
         {match.ignore_case, match.ignore_punctuation, match.ignore_numbers, match.strip}) {
      add(flag ? "1" : "0");
    }
    for (const std::string& pattern : match.regexes_to_ignore) add(pattern);
    AddFilters(config.task.filter_list, hasher);
  }
  return hasher.Hex();
}

}  // namespace breakeven
