// Pure. May a run go on from a checkpoint?
#ifndef BREAKEVEN_TRAINER_RESUME_CHECK_H_
#define BREAKEVEN_TRAINER_RESUME_CHECK_H_

#include <string>
#include <vector>

#include "comm/base/error.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/model/model_config.h"

namespace breakeven {

struct ResumeVerdict {
  std::string error;  // "" = it may
  ErrorKind kind = ErrorKind::kUsage;
  std::vector<std::string> warnings;
};

// `current` is what the config and the files say now; only its describing fields are read. An error
// where the cursor or the data would mean something else (dataset, tokenizer, template, seed,
// global batch) or the arithmetic would (precision), naming both values; a warning where only rounding or the intent differs (ranks,
// threads, buckets, versions, other config values).
ResumeVerdict CompareForResume(const TrainingState& saved, const TrainingState& current);

// Error(kBadData) when `checkpoint`'s config.json describes another model than the one that the
// config names now: weights of the same shapes would go on under other mathematics.
void CheckSameModel(const std::string& checkpoint, const ModelConfig& current);

// The saved progress with the current description.
TrainingState ContinueFrom(const TrainingState& saved, const TrainingState& current);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_RESUME_CHECK_H_
