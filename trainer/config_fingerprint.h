// Pure. A hash over a config's fields by name and value.
#ifndef BREAKEVEN_TRAINER_CONFIG_FINGERPRINT_H_
#define BREAKEVEN_TRAINER_CONFIG_FINGERPRINT_H_

#include <string>

#include "trainer/prompt_eval/eval_config.h"
#include "trainer/training_config.h"

namespace breakeven {

// Every field that changes what is learned: those that VisitFields marks as unhashed (paths,
// threads, logging) are left out, structs and lists with them.
std::string ConfigFingerprint(const TrainConfig& config);
// The same but for `epochs` and `max_steps`: whether a run that goes on for longer goes on as it was.
std::string SettingsFingerprint(const TrainConfig& config);
// Every field that changes what is scored.
std::string ConfigFingerprint(const EvalConfig& config);

// What decides which examples make up step n: global batch, shuffle and seed, but neither ranks nor
// micro-batches.
std::string PlanFingerprint(const TrainConfig& config);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CONFIG_FINGERPRINT_H_
