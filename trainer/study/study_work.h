// What a study's plan consists of, and what it costs in tokens of a forward pass. Needs ATen.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_WORK_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_WORK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/study/study_config.h"
#include "trainer/study/study_inputs.h"

namespace breakeven {

struct StudyWork {
  std::map<std::string, double> dev_tokens;    // of scoring a variant
  std::map<std::string, double> test_tokens;   // likewise, shots at equal data too
  std::map<std::string, double> timed_tokens;  // of timing what it takes to serve a variant
  int64_t search_scores = 0;                   // of a search among the prompts, before dev is asked
  double search_tokens = 0;
  double regression_tokens = 0;         // of asking one model
  std::vector<PromptConfig> few_shots;  // the equal-data arms that the context holds
  std::vector<std::string> left_out;    // sentences: equal-data arms that are not
  double example_tokens = 0;            // mean of a training example
  double validation_tokens = 0;         // of one pass over dev, where the config validates

  double TrainingTokens(const StudyConfig& config, int64_t size) const;  // of a cell, times three
  double Trainings(const StudyConfig& config) const;
  // All that is asked. `baseline`: the prompt that dev chose; "" = not yet, then the dearest counts.
  double Scorings(const StudyConfig& config, const std::string& baseline = "") const;
  // Scores of a search, trainings, arms, timings. While the search or dev has not chosen: the most that it can become.
  int64_t Pieces(const StudyConfig& config, const std::string& baseline = "") const;
};

// Builds every request of dev and test by every variant, and of the regression set (nothing is scored). While a search is to
// come (`config.prompt_search`) by all its candidates, every draw of shots too: none may prove too long, and fail, when the
// search is done. Error(kBadData) where prompts lose their start
// and config.allow_truncated is not set, naming the variants.
StudyWork MeasureWork(const StudyConfig& config, const StudyInputs& inputs,
                      const LoadedModel& model);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_WORK_H_
