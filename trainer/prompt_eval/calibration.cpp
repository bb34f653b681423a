// Pure.
#include "trainer/prompt_eval/calibration.h"

#include <cmath>
#include <map>

#include "comm/base/error.h"
#include "trainer/statistics/calibration.h"

namespace breakeven {

CalibrationRequests BuildCalibration(const PromptConfig& prompt, const ExampleRenderer& renderer,
                                     const Tokenizer& tokenizer,
                                     std::span<const Document> documents,
                                     std::span<const Document> pool,
                                     const std::vector<std::vector<int64_t>>& shots,
                                     int64_t max_length) {
  CalibrationRequests result;
  if (prompt.calibration == "none") return result;
  std::map<std::vector<std::string>, int64_t> known;  // context and choices → prompt
  for (size_t i = 0; i < documents.size(); ++i) {
    std::vector<const Document*> examples;
    for (const int64_t shot : shots[i]) examples.push_back(&pool[static_cast<size_t>(shot)]);
    const std::vector<std::string> choices = renderer.Choices(documents[i]);
    std::vector<int64_t>& prompts = result.of_document.emplace_back();
    for (const std::string& text : prompt.content_free) {
      std::vector<std::string> key = choices;
      key.push_back(renderer.ContentFreeContext(documents[i], examples, text));
      const auto [entry, is_new] = known.try_emplace(key, std::ssize(result.prompts));
      if (is_new) {
        result.prompts.push_back(
            RequestChoices(tokenizer, key.back(), renderer.delimiter(), choices, max_length));
      }
      prompts.push_back(entry->second);
    }
  }
  return result;
}

std::vector<double> LogPriors(std::span<const int64_t> prompts,
                              std::span<const std::vector<RequestScore>> scores) {
  std::vector<double> sums;
  for (const int64_t prompt : prompts) {
    std::vector<double> loglikelihoods;
    for (const RequestScore& score : scores[static_cast<size_t>(prompt)]) {
      if (std::isnan(score.loglikelihood)) {
        throw Error(ErrorKind::kBadData,
                    "a log-likelihood of a content-free prompt is not a number");
      }
      loglikelihoods.push_back(score.loglikelihood);
    }
    const std::vector<double> probabilities = NormalisedProbabilities(loglikelihoods);
    sums.resize(probabilities.size());
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += probabilities[k];
  }
  for (double& sum : sums) sum = std::log(sum / static_cast<double>(prompts.size()));
  return sums;
}

}  // namespace breakeven
