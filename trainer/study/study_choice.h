// Pure. What dev chooses, by the scores that a study's state holds.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_CHOICE_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_CHOICE_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trainer/study/study_config.h"
#include "trainer/study/study_plan.h"
#include "trainer/study/study_state.h"

namespace breakeven {

struct StudyChoices {
  std::string baseline;  // variant
  std::map<int64_t, double> rates;
  int64_t candidate_size = 0;
  std::string candidate_variant;
};

// A size's rate: of the cells with the first seed the best under the training prompt. Chosen once and for all, for the
// losers' weights go: `state.rates` holds where it has the size, though a score was lost and came out otherwise on other
// ranks or another device. In files of before that was kept, a cell that is removed has lost. Error(kBadData) where all are.
double ChooseRate(const StudyConfig& config, const StudyState& state, int64_t size);
std::vector<StudyCell> Losers(const StudyConfig& config, int64_t size, double rate);

// Into `choices`, which have the rates: the size and the prompt whose seeds are best on average.
void ChooseCandidate(const StudyConfig& config, const StudyState& state,
                     std::span<const PromptConfig> prompts, StudyChoices& choices);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_CHOICE_H_
