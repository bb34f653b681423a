// A study's looks at sealed documents, entered in the ledgers before anything is scored. Needs ATen.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_LOOK_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_LOOK_H_

#include <string>
#include <vector>

#include "comm/world.h"
#include "trainer/prompt_eval/ledger.h"
#include "trainer/study/study_scoring.h"

namespace breakeven {

// A model and how it will be asked.
struct ArmToLookAt {
  std::string model;
  std::string folder;
  std::string model_hash;
  std::vector<PromptConfig> prompts;
};

// COLLECTIVE. Beside the data of `split` and in RUN/eval. The weights are not read. Errors as OpenLook says.
LookNumber OpenStudyLook(const ScoringSet& set, const std::string& split,
                         const std::vector<ArmToLookAt>& models, const std::string& run_folder,
                         World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_LOOK_H_
