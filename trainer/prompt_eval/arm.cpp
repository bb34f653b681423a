#include "trainer/prompt_eval/arm.h"

#include <chrono>
#include <memory>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/hash.h"
#include "comm/base/progress.h"
#include "trainer/prompt_eval/metrics.h"
#include "trainer/prompt_eval/records.h"
#include "trainer/prompt_eval/scorer.h"
#include "trainer/prompt_eval/shots.h"
#include "trainer/stop_signals.h"

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
  // An empty delimiter would stop every text at once.
  if (variant.fewshot_delimiter.empty()) return {};
  return {variant.fewshot_delimiter};
}

// Asked between batches by each rank for itself: no message, so the others learn of it when they
// have done their own.
void EndIfSignalled(const StopSignals& signals) {
  if (!signals.requested() && InjectedErrno("eval.stop_signal", kCallNumber) == 0) return;
  const std::string name = signals.name();
  throw Error(ErrorKind::kSavedRequeue,
              "stopped by " + (name.empty() ? std::string("a signal") : name) +
                  " while prompts were scored; no score was written. Run the same command to score "
                  "them from the beginning.");
}

using OnBatch = std::function<void(int64_t)>;

std::vector<DocumentOutcome> Generate(const EvalConfig& config, const PromptConfig& variant,
                                      const ArmRequests& requests, LoadedModel& model, World& world,
                                      const OnBatch& on_batch, ArmSummary& summary) {
  const GenerateResult result = GenerateArm(config, variant, requests, model, world, on_batch);
  summary.tokens = result.fed_tokens;
  summary.compute_seconds = result.compute_seconds;
  const std::vector<std::string> metrics = EvalMetrics(config.task);
  std::vector<DocumentOutcome> outcomes;
  for (size_t i = 0; i < result.texts.size(); ++i) {
    outcomes.push_back(
        ScoreGeneration(requests.documents[i], result.texts[i].text, metrics, config.exact_match));
  }
  return outcomes;
}

std::vector<DocumentOutcome> Score(const EvalConfig& config, const ArmRequests& requests,
                                   LoadedModel& model, World& world, const OnBatch& on_batch,
                                   ArmSummary& summary) {
  const ScoreResult result = LogLikelihood(*model.model, *world.control, requests.documents,
                                           config.batch_tokens, on_batch);
  summary.tokens = result.fed_tokens;
  summary.compute_seconds = result.compute_seconds;
  const std::vector<std::string> metrics = EvalMetrics(config.task);
  const bool rolling = config.task.output_type == "loglikelihood_rolling";
  std::vector<DocumentOutcome> outcomes;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    try {
      for (size_t i = 0; i < result.documents.size(); ++i) {
        const DocumentRequests& document = requests.documents[i];
        outcomes.push_back(rolling ? ScoreRolling(document, result.documents[i], metrics)
                                   : ScoreChoices(document, result.documents[i], metrics));
      }
    } catch (const Error& error) {
      throw Error(error.kind(), "model '" + model.name + "' in " + model.folder + ", asked by '" +
                                    summary.variant + "': " + error.what());
    }
  });
  return outcomes;
}

void Count(const ArmRequests& requests, ArmSummary& summary) {
  double prompt_tokens = 0;
  for (const DocumentRequests& document : requests.documents) {
    prompt_tokens += static_cast<double>(document.prompt_tokens);
    summary.num_truncated += document.truncated ? 1 : 0;
    summary.num_boundary_merges += document.boundary_merge ? 1 : 0;
  }
  summary.num_documents = std::ssize(requests.documents);
  summary.mean_prompt_tokens = prompt_tokens / static_cast<double>(summary.num_documents);
}

std::string Records(const EvalConfig& config, const EvalDocuments& data, const LoadedModel& model,
                    const ArmSummary& summary, const ArmRequests& requests,
                    const std::vector<DocumentOutcome>& outcomes) {
  const ArmIdentity arm{.model = summary.model,
                        .model_hash = summary.model_hash,
                        .task = config.task.name,
                        .variant = summary.variant,
                        .template_hash = summary.template_hash,
                        .split = summary.split,
                        .train_size = model.train_size,
                        .seed = model.seed,
                        .step = model.step,
                        .precision = "float32"};
  std::string lines;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const DocumentIdentity identity{data.ids[i], data.hashes[i], requests.groups[i]};
    lines += RecordLine(arm, identity, requests.documents[i], outcomes[i]);
  }
  return lines;
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
    if (variant.num_fewshot > 0) read(variant.fewshot_split, 0);
  }
  return data;
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
  const auto shots = DrawShots(variant, std::ssize(pool), std::ssize(asked.documents), is_document);
  RequestOptions options;
  options.max_length = MaxLength(config, model);
  options.rolling_bos_scored = config.rolling_bos == "lm_eval";
  options.max_new_tokens = IsGeneration(config) ? config.task.max_gen_toks : 0;
  ArmRequests requests;
  requests.template_hash = renderer.fingerprint();
  requests.documents = BuildRequests(config.task, variant, renderer, *model.tokenizer,
                                     asked.documents, pool, shots, options);
  for (const Document& document : asked.documents) {
    requests.groups.push_back(renderer.Group(document));
  }
  return requests;
}

GenerateResult GenerateArm(const EvalConfig& config, const PromptConfig& variant,
                           const ArmRequests& requests, LoadedModel& model, World& world,
                           const std::function<void(int64_t)>& on_batch) {
  GenerateOptions options;
  options.max_new_tokens = config.task.max_gen_toks;
  options.until = StopTexts(config, variant);
  options.stop_ids = model.stop_ids;
  options.batch_prompts = config.generation_batch;
  options.max_length = MaxLength(config, model);
  std::vector<std::vector<int32_t>> prompts;
  for (const DocumentRequests& document : requests.documents) {
    prompts.push_back(document.requests.front().tokens);
  }
  return GenerateTexts(*model.model, *model.tokenizer, *world.control, prompts, options,
                       config.batch_tokens, on_batch);
}

std::string ArmHash(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
                    const LoadedModel& model, const std::string& template_hash) {
  Hasher hasher;
  const auto add = [&](const std::string& value) { hasher.UpdateField(value); };
  add(model.hash);
  add(model.tokenizer->fingerprint());
  add(template_hash);
  add(config.task.output_type);
  if (variant.num_fewshot > 0) {
    add(std::to_string(variant.num_fewshot));
    add(variant.fewshot_sampler);
    // The first n are the same for every seed.
    if (variant.fewshot_sampler != "first_n") add(std::to_string(variant.fewshot_seed));
    add(data.at(variant.fewshot_split).content_hash);
  }
  add(std::to_string(MaxLength(config, model)));
  if (config.task.output_type == "loglikelihood_rolling") add(config.rolling_bos);
  if (IsGeneration(config)) {
    for (const std::string& stop : StopTexts(config, variant)) add(stop);
    add(std::to_string(config.task.max_gen_toks));
    for (bool flag : {config.exact_match.ignore_case, config.exact_match.ignore_punctuation,
                      config.exact_match.ignore_numbers, config.exact_match.strip}) {
      add(flag ? "1" : "0");
    }
  }
  return hasher.Hex();
}

ArmResult ScoreArm(const EvalConfig& config, const PromptConfig& variant, const EvalData& data,
                   const std::string& split, LoadedModel& model, World& world) {
  ArmResult result;
  ArmRequests requests;
  const auto begin = std::chrono::steady_clock::now();
  const StopSignals signals;
  RunTogether(*world.control, /*root_only=*/false, [&] {
    EndIfSignalled(signals);
    requests = BuildArmRequests(config, variant, data, split, model);
    result.hash = ArmHash(config, variant, data, model, requests.template_hash);
  });
  ArmSummary& summary = result.summary;
  summary.model = model.name;
  summary.variant = variant.name;
  summary.split = split;
  summary.model_hash = model.hash;
  summary.template_hash = requests.template_hash;
  Count(requests, summary);
  // The bar shows this rank's part; ranks have about the same.
  Progress progress(model.name + "/" + variant.name, summary.num_documents / world.world_size(),
                    {.enabled = world.is_root()});
  const OnBatch on_batch = [&](int64_t n) {
    progress.Add(n);
    world.Beat();
    EndIfSignalled(signals);
  };
  std::vector<DocumentOutcome> outcomes =
      IsGeneration(config) ? Generate(config, variant, requests, model, world, on_batch, summary)
                           : Score(config, requests, model, world, on_batch, summary);
  progress.Finish();
  summary.metrics = AggregateMetrics(EvalMetrics(config.task), requests.documents, outcomes);
  result.records = Records(config, data.at(split), model, summary, requests, outcomes);
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace breakeven
