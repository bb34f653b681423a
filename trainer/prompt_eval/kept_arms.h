// The arms of an evaluation that are scored, kept until the whole is written: an evaluation that is ended goes on behind them.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_KEPT_ARMS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_KEPT_ARMS_H_

#include <optional>
#include <string>

#include "comm/control.h"
#include "trainer/prompt_eval/arm.h"

namespace breakeven {

// Files of OUTPUT/parts, two an arm: KEY.jsonl, its records, and KEY.json, its state, written last. A key holds all that an
// arm's records depend on, so another config in the same folder finds nothing.
class KeptArms {
 public:
  KeptArms(const std::string& output, Control& control);
  // COLLECTIVE. The same on every rank; only rank 0 looks. Nothing where the arm is not there or damaged.
  std::optional<ArmResult> Find(const std::string& key);
  // COLLECTIVE. Rank 0 writes, durably. Errors: those of WriteFileDurably, on all ranks.
  void Keep(const std::string& key, const ArmResult& arm);
  // COLLECTIVE. Once the whole is written.
  void Clear();

 private:
  std::string Path(const std::string& key) const { return folder_ + "/" + key; }

  const std::string folder_;
  Control& control_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_KEPT_ARMS_H_
