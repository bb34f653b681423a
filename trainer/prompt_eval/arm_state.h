// Pure. What is kept of an arm that is scored, so that it is never scored again.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_ARM_STATE_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_ARM_STATE_H_

#include <string>

#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {

struct ArmState {
  ArmSummary summary;
  std::string hash;          // ArmHash: what the ledger knows it by
  std::string records_hash;  // XXH3 of its records, HashHex
};

// Numbers read back exactly; one that is none is null.
std::string FormatArmState(const ArmState& arm);
// Error(kBadData) naming `where`.
ArmState ParseArmState(const std::string& json, const std::string& where);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_ARM_STATE_H_
