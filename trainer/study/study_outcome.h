// Pure. What a finished study leaves behind, and what a dry run says of one to come.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_OUTCOME_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_OUTCOME_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/study/study_config.h"
#include "trainer/study/study_data.h"
#include "trainer/study/study_file.h"
#include "trainer/study/study_state.h"

namespace breakeven {

// What dev chose.
struct StudyChoices {
  std::string baseline;  // variant
  std::map<int64_t, double> rates;
  int64_t candidate_size = 0;
  std::string candidate_variant;
};

struct StudyOutcomeInput {
  const StudyConfig& config;
  const StudyState& state;
  const StudyChoices& choices;
  const StudyData& data;
  std::vector<std::string> left_out;
  std::string model_hash;
  int world_size = 1;
  std::vector<PromptConfig> few_shots;
  int64_t num_prompts_tried = 0;
};

StudyFile MakeStudyFile(const StudyOutcomeInput& input);
// eval/records.jsonl from the parts, regression.jsonl, study.json last: its presence says that the study is complete.
void WriteStudyOutcome(const StudyOutcomeInput& input);

struct PlanDescription {
  const StudyConfig& config;
  const StudyData& data;
  std::vector<std::string> left_out;
  double total_tokens = 0;
  int64_t num_parameters = 0;
  double tokens_per_second = 0;  // of the probe
  int world_size = 1;
};
std::string DescribePlan(const PlanDescription& plan);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_OUTCOME_H_
