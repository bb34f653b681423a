// The study: `breakeven study`. Facade: no libtorch.
#ifndef BREAKEVEN_TRAINER_STUDY_STUDY_RUN_H_
#define BREAKEVEN_TRAINER_STUDY_STUDY_RUN_H_

#include <string>
#include <string_view>

#include "comm/world.h"
#include "trainer/study/study_config.h"

namespace breakeven {

// COLLECTIVE. Runs the plan of study_plan.h over the ranks of `world` and leaves in config.output: study.json (study_file.h),
// eval/records.jsonl (dev and test; regression.jsonl beside it), eval/ledger.jsonl, cells/NAME/ (a training run each; of the
// chosen ones the weights), data/ (subsets). A killed study goes on when it is called again: finished cells and arms are
// not done again, a killed cell resumes from its checkpoint. Error(kSavedRequeue) after a signal.
// `config_hash`: over every hashed key, so that another config cannot go on in this folder. `resolved_yaml` goes to
// RUN/config.yaml.
void RunStudy(const StudyConfig& config, World& world, std::string_view resolved_yaml,
              const std::string& config_hash);

// COLLECTIVE. Checks data, prompts and model, and times a few documents; text for people: the plan, its cells, disk and time.
std::string DryRunStudy(const StudyConfig& config, World& world);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_STUDY_RUN_H_
