// The arms of an evaluation that are scored, kept until the whole is written: an evaluation that is ended goes on behind them.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_KEPT_ARMS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_KEPT_ARMS_H_

#include <memory>
#include <optional>
#include <string>

#include "comm/control.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/prompt_eval/arm.h"

namespace breakeven {

// Files of OUTPUT/kept_arms, two an arm: KEY.jsonl, its records, and KEY.json, its state, written last. A key holds all that an
// arm's records depend on, so another config in the same folder finds nothing.
class KeptArms {
 public:
  // COLLECTIVE, as every method. Rank 0 makes the folder and locks it: another evaluation there is refused, Error(kCannotCreate).
  KeptArms(const std::string& output, Control& control);
  // The same on every rank; only rank 0 looks. Nothing where the arm is not there or damaged.
  std::optional<ArmResult> Find(const std::string& key);
  // Rank 0 writes, durably. Errors: those of WriteFileDurably, on all ranks.
  void Keep(const std::string& key, const ArmResult& arm);
  // Once the whole is written. Removes what a KeptArms has written, nothing else.
  void Clear();

 private:
  std::string Path(const std::string& key) const { return folder_ + "/" + key; }

  const std::string folder_;
  Control& control_;
  std::unique_ptr<FolderLock> lock_;  // rank 0
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_KEPT_ARMS_H_
