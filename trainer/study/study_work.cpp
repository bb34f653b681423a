#include "trainer/study/study_work.h"

#include <algorithm>
#include <cmath>

#include "comm/base/error.h"
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

double Largest(const std::map<std::string, double>& tokens, const StudyConfig& config) {
  double largest = 0;
  for (const PromptConfig& variant : config.Variants()) {
    largest = std::max(largest, tokens.at(variant.name));
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
  if (config.tuned_with_best_prompt && baseline != own) {
    of_size += num_seeds * (of_best(dev_tokens) + of_best(test_tokens));
  }
  double total = of_size * static_cast<double>(config.sizes.size());
  for (const auto& [variant, tokens] : dev_tokens) total += tokens;
  total += test_tokens.at(own) + (baseline == own ? 0 : of_best(test_tokens));
  for (const PromptConfig& few_shot : few_shots) total += test_tokens.at(few_shot.name);
  return total;
}

int64_t StudyWork::Pieces(const StudyConfig& config) const {
  const int64_t chosen = std::ssize(config.sizes) * std::ssize(config.seeds);
  return std::ssize(config.Variants()) + 2 * NumCells(config) + chosen + 2 + std::ssize(few_shots) +
         (config.tuned_with_best_prompt ? 2 * chosen : 0);
}

StudyWork MeasureWork(const StudyConfig& config, const ScoringSet& set, const LoadedModel& model) {
  StudyWork work;
  for (const PromptConfig& variant : config.Variants()) {
    for (const std::string split : {"dev", "test"}) {
      const ArmRequests requests = BuildArmRequests(set.config, variant, set.data, split, model);
      const int64_t truncated = NumTruncated(requests);
      if (truncated > 0 && !config.allow_truncated) RefuseTruncated(variant, split, truncated);
      (split == "dev" ? work.dev_tokens : work.test_tokens)[variant.name] =
          RequestTokens(set.config, requests);
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
  AddFewShots(config, set, model, work);
  return work;
}

}  // namespace breakeven
