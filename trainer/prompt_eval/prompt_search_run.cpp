#include "trainer/prompt_eval/prompt_search_run.h"

#include <optional>

#include "comm/base/log.h"
#include "comm/base/progress.h"

namespace breakeven {

PromptSearchResult RunPromptSearch(const EvalConfig& config, const PromptSearchConfig& search,
                                   std::span<const PromptConfig> variants, const EvalData& data,
                                   const std::string& name, const std::string& folder, World& world,
                                   SearchScores& known, const std::function<void()>& on_score) {
  std::optional<LoadedModel> model;
  const int64_t num_documents = std::ssize(data.at(config.split).documents);
  const std::vector<int64_t> order = SearchOrder(search, num_documents);
  const std::string metric = ChoiceMetric(config);
  EvalData part;
  int64_t part_begin = -1;
  int64_t part_end = -1;
  const ScoreRung ask = [&](const PromptConfig& candidate, int64_t begin, int64_t end) {
    const std::string key =
        std::to_string(begin) + "-" + std::to_string(end) + "/" + candidate.name;
    const auto found = known.scores.find(key);
    if (found != known.scores.end()) return found->second;
    if (begin != part_begin || end != part_end) {  // the same for all candidates of a rung
      part = PartOf(
          data, config.split,
          std::span(order).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
      part_begin = begin;
      part_end = end;
    }
    if (!model.has_value()) {
      model.emplace(LoadEvalModel(name, folder, config.precision, world));
    }
    const ArmSummary summary =
        ScoreArm(config, candidate, part, config.split, *model, world).summary;
    const double score = summary.metrics.at(metric).value;
    known.scores[key] = score;
    known.seconds += summary.seconds;
    known.tokens += static_cast<double>(summary.tokens);
    on_score();
    return score;
  };
  const PromptSearchResult result =
      SearchPrompts(search, variants, num_documents, LowerIsBetter(metric), ask);
  std::string names;
  for (const PromptConfig& kept : result.kept) names += (names.empty() ? "" : ", ") + kept.name;
  LogInfo("search: " + FormatCount(result.num_tried) + " prompts tried with " +
          FormatCount(result.num_documents) + " documents; kept: " + names);
  return result;
}

}  // namespace breakeven
