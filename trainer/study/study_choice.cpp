// Pure.
#include "trainer/study/study_choice.h"

#include <tuple>
#include <utility>

#include "comm/base/error.h"
#include "trainer/prompt_eval/choice.h"
#include "trainer/prompt_eval/eval_config.h"

namespace breakeven {
namespace {

double Dev(const StudyConfig& config, const StudyState& state, const StudyCell& cell,
           const std::string& variant) {
  const ArmState& arm = state.arms.at(ArmKey("dev", cell.name, variant));
  return arm.summary.metrics.at(config.Metric()).value;
}

}  // namespace

double ChooseRate(const StudyConfig& config, const StudyState& state, int64_t size) {
  const auto known = state.rates.find(size);
  if (known != state.rates.end()) return known->second;
  std::vector<double> rates;
  std::vector<double> scores;
  for (const StudyCell& cell : RateCells(config, size)) {
    if (state.cells.at(cell.name).removed) continue;
    rates.push_back(cell.rate);
    scores.push_back(Dev(config, state, cell, config.OwnPrompt().name));
  }
  if (!rates.empty()) return rates[BestOf(scores, LowerIsBetter(config.Metric()))];
  throw Error(ErrorKind::kBadData,
              config.output + ": the weights of every rate at size " + std::to_string(size) +
                  " are removed; move the run folder away and begin anew",
              /*on_all_ranks=*/true);
}

std::vector<StudyCell> Losers(const StudyConfig& config, int64_t size, double rate) {
  std::vector<StudyCell> losers = RateCells(config, size);
  std::erase_if(losers, [&](const StudyCell& cell) { return cell.rate == rate; });
  return losers;
}

void ChooseCandidate(const StudyConfig& config, const StudyState& state,
                     std::span<const PromptConfig> prompts, StudyChoices& choices) {
  std::vector<std::pair<int64_t, std::string>> recipes;
  std::vector<double> scores;
  for (const PromptConfig& prompt : prompts) {
    for (const int64_t size : config.sizes) {
      double sum = 0;
      for (const int64_t seed : config.seeds) {
        const StudyCell cell = MakeCell(size, choices.rates.at(size), seed);
        sum += Dev(config, state, cell, prompt.name);
      }
      recipes.emplace_back(size, prompt.name);
      scores.push_back(sum / static_cast<double>(config.seeds.size()));
    }
  }
  std::tie(choices.candidate_size, choices.candidate_variant) =
      recipes[BestOf(scores, LowerIsBetter(config.Metric()))];
}

}  // namespace breakeven
