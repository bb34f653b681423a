// What a finished study leaves behind. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_OUTCOME_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_OUTCOME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data_pipeline/example_renderer.h"
#include "trainer/study/study_choice.h"
#include "trainer/study/study_config.h"
#include "trainer/study/study_data.h"
#include "trainer/study/study_file.h"
#include "trainer/study/study_state.h"

namespace breakeven {

struct StudyOutcomeInput {
  const StudyConfig& config;
  const StudyState& state;
  const StudyChoices& choices;
  const StudyData& data;
  std::vector<std::string> left_out;
  std::string model_hash;
  int world_size = 1;
  std::vector<PromptConfig> few_shots;
  ChatFormat chat;  // of the base model
  int64_t num_prompts_tried = 0;
};

StudyFile MakeStudyFile(const StudyOutcomeInput& input);
// eval/records.jsonl from the parts, regression.jsonl, prompts.jsonl (test as the candidate asks it, {"doc_id", "prompt"} a
// line), study.json last: its presence says that the study is complete.
void WriteStudyOutcome(const StudyOutcomeInput& input);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_OUTCOME_H_
