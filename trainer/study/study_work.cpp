#include "trainer/study/study_work.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "comm/base/error.h"
#include "trainer/prompt_eval/prompt_search.h"
#include "trainer/study/study_plan.h"

namespace breakeven {
namespace {

constexpr double kTrainedToken = 3;  // forward, and backward twice as much

PromptConfig FewShotPrompt(const StudyConfig& config, int64_t num_shots) {
  PromptConfig prompt = config.OwnPrompt();
  prompt.name = config.training_prompt.name + "_with_" + std::to_string(num_shots) + "_shots";
  prompt.num_fewshot = num_shots;
  prompt.fewshot_split = "train";
  prompt.fewshot_sampler =
      "first_n";  // train is in nested order: the very examples that tuning has
  return prompt;
}

int64_t NumTruncated(const ArmRequests& requests) {
  return std::count_if(requests.documents.begin(), requests.documents.end(),
                       [](const DocumentRequests& document) { return document.truncated; });
}

void RefuseTruncated(const PromptConfig& variant, const std::string& split, int64_t truncated) {
  throw Error(ErrorKind::kBadData,
              "prompt '" + variant.name + "': " + std::to_string(truncated) + " documents of " +
                  split +
                  " are longer than the model can see and would lose their start. Shorten the "
                  "prompt, use fewer shots, or set allow_truncated: true");
}

// All that dev and test may be asked by: with a search to come its draws too, any of which may be left.
std::vector<PromptConfig> Candidates(const StudyConfig& config) {
  if (!config.prompt_search.has_value()) return config.Variants();
  return SearchCandidates(*config.prompt_search, config.Variants());
}

// Variants that dev is asked by; after a search to come those that it leaves, and perhaps the training prompt beside them.
int64_t NumDevPrompts(const StudyConfig& config) {
  const int64_t candidates = std::ssize(Candidates(config));
  if (!config.prompt_search.has_value()) return candidates;
  return std::min(candidates, config.prompt_search->keep + 1);
}

// Likewise what they cost: after a search to come the dearest count.
double DevPrompts(const StudyConfig& config, const std::map<std::string, double>& tokens) {
  std::vector<double> of_each;
  for (const auto& [variant, of_variant] : tokens) of_each.push_back(of_variant);
  std::sort(of_each.rbegin(), of_each.rend());
  return std::accumulate(of_each.begin(), of_each.begin() + NumDevPrompts(config), 0.0);
}

// Whether dev chose, or may still choose, another prompt than the training prompt.
bool OtherPrompt(const StudyConfig& config, const std::string& baseline) {
  return baseline.empty() ? NumDevPrompts(config) > 1 : baseline != config.OwnPrompt().name;
}

void MeasureSearch(const StudyConfig& config, int64_t num_documents, StudyWork& work) {
  if (!config.prompt_search.has_value()) return;
  const PromptSearchConfig& search = *config.prompt_search;
  const int64_t candidates = std::ssize(work.dev_tokens);
  double tokens = 0;  // of a document, by all candidates
  for (const auto& [candidate, of_candidate] : work.dev_tokens) {
    tokens += of_candidate / static_cast<double>(num_documents);
  }
  for (const SearchRung& rung : SearchPlan(search, candidates, num_documents)) {
    work.search_scores += rung.num_candidates;
    work.search_tokens += tokens * static_cast<double>(rung.num_candidates) *
                          static_cast<double>(rung.end - rung.begin) /
                          static_cast<double>(candidates);
  }
}

double Largest(const std::map<std::string, double>& tokens, const StudyConfig& config) {
  double largest = 0;
  for (const PromptConfig& candidate : Candidates(config)) {
    largest = std::max(largest, tokens.at(candidate.name));
  }
  return largest;
}

void AddFewShots(const StudyConfig& config, const ScoringSet& set, const LoadedModel& model,
                 StudyWork& work) {
  if (!config.few_shot_at_equal_data) return;
  for (const int64_t size : config.sizes) {
    if (config.max_shots > 0 && size > config.max_shots) {
      work.left_out.push_back("Few-shot with " + std::to_string(size) +
                              " examples was left out: max_shots is " +
                              std::to_string(config.max_shots) + ".");
      continue;
    }
    const PromptConfig prompt = FewShotPrompt(config, size);
    const ArmRequests requests = BuildArmRequests(set.config, prompt, set.data, "test", model);
    const int64_t truncated = NumTruncated(requests);
    if (truncated > 0 && !config.allow_truncated) {
      work.left_out.push_back("Few-shot with " + std::to_string(size) +
                              " examples was left out: " + std::to_string(truncated) +
                              " prompts would be longer than the model can see.");
      continue;
    }
    work.test_tokens[prompt.name] = RequestTokens(set.config, requests);
    work.few_shots.push_back(prompt);
  }
}

void MeasureRegression(const StudyConfig& config, const ScoringSet& set, const LoadedModel& model,
                       StudyWork& work) {
  const PromptConfig& prompt = config.regression->prompt;
  const ArmRequests requests =
      BuildArmRequests(set.config, prompt, set.data, set.config.split, model);
  const int64_t truncated = NumTruncated(requests);
  if (truncated > 0 && !config.allow_truncated) {
    RefuseTruncated(prompt, "the regression set", truncated);
  }
  work.regression_tokens = RequestTokens(set.config, requests);
}

}  // namespace

double StudyWork::TrainingTokens(const StudyConfig& config, int64_t size) const {
  const RecipeConfig& recipe = config.train;
  double tokens = recipe.epochs * static_cast<double>(size) * example_tokens;
  if (recipe.max_steps > 0) {
    const GlobalBatchConfig& batch = recipe.batching.global_batch;
    const double step = batch.tokens > 0 ? static_cast<double>(batch.tokens)
                                         : static_cast<double>(batch.examples) * example_tokens;
    tokens = static_cast<double>(recipe.max_steps) * step;
  }
  return kTrainedToken * tokens + std::ceil(recipe.epochs) * validation_tokens;
}

double StudyWork::Trainings(const StudyConfig& config) const {
  const auto cells_of_size = static_cast<double>(config.Rates().size() + config.seeds.size() - 1);
  double total = 0;
  for (const int64_t size : config.sizes) total += cells_of_size * TrainingTokens(config, size);
  return total;
}

double StudyWork::Scorings(const StudyConfig& config, const std::string& baseline) const {
  const std::string own = config.OwnPrompt().name;
  const auto of_best = [&](const std::map<std::string, double>& tokens) {
    return baseline.empty() ? Largest(tokens, config) : tokens.at(baseline);
  };
  const auto cells_of_size = static_cast<double>(config.Rates().size() + config.seeds.size() - 1);
  const auto num_seeds = static_cast<double>(config.seeds.size());
  double of_size = cells_of_size * dev_tokens.at(own) + num_seeds * test_tokens.at(own);
  const bool other = OtherPrompt(config, baseline);
  if (config.tuned_with_best_prompt && other) {
    of_size += num_seeds * (of_best(dev_tokens) + of_best(test_tokens));
  }
  double total = of_size * static_cast<double>(config.sizes.size());
  total += search_tokens + DevPrompts(config, dev_tokens);
  total += test_tokens.at(own) + (other ? of_best(test_tokens) : 0);
  for (const PromptConfig& few_shot : few_shots) total += test_tokens.at(few_shot.name);
  if (config.regression.has_value()) total += (1 + num_seeds) * regression_tokens;
  if (config.timed_documents > 0) total += 2 * of_best(timed_tokens);
  return total;
}

int64_t StudyWork::Pieces(const StudyConfig& config, const std::string& baseline) const {
  const int64_t chosen = std::ssize(config.sizes) * std::ssize(config.seeds);
  const bool other = OtherPrompt(config, baseline);
  int64_t pieces = search_scores + NumDevPrompts(config) + 2 * NumCells(config);
  pieces += (other ? 2 : 1) + std::ssize(few_shots) + chosen;        // on test
  if (other && config.tuned_with_best_prompt) pieces += 2 * chosen;  // on dev and on test
  if (config.regression.has_value()) pieces += 1 + std::ssize(config.seeds);
  if (config.timed_documents > 0) pieces += 2;
  return pieces;
}

StudyWork MeasureWork(const StudyConfig& config, const StudyInputs& inputs,
                      const LoadedModel& model) {
  const ScoringSet& set = inputs.set;
  StudyWork work;
  for (const PromptConfig& variant : Candidates(config)) {
    for (const std::string split : {"dev", "test"}) {
      const ArmRequests requests = BuildArmRequests(set.config, variant, set.data, split, model);
      const int64_t truncated = NumTruncated(requests);
      if (truncated > 0 && !config.allow_truncated) RefuseTruncated(variant, split, truncated);
      (split == "dev" ? work.dev_tokens : work.test_tokens)[variant.name] =
          RequestTokens(set.config, requests);
      if (split == "dev") {
        work.timed_tokens[variant.name] =
            ServingTokens(set.config, requests, config.timed_documents);
      }
      if (split == "dev" && variant.name == config.OwnPrompt().name) {
        double tokens = 0;
        for (const DocumentRequests& document : requests.documents) {
          tokens += static_cast<double>(document.requests.front().tokens.size());
        }
        work.example_tokens = tokens / static_cast<double>(requests.documents.size());
        if (config.train.validate) work.validation_tokens = tokens;
      }
    }
  }
  MeasureSearch(config, std::ssize(set.data.at("dev").documents), work);
  AddFewShots(config, set, model, work);
  if (inputs.regression.has_value()) MeasureRegression(config, *inputs.regression, model, work);
  return work;
}

}  // namespace breakeven
