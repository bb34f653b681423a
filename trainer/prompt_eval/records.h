// Pure. One line of records.jsonl (its fields: README.md of this folder; change them only with a new format number).
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_RECORDS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_RECORDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "trainer/prompt_eval/metrics.h"
#include "trainer/prompt_eval/requests.h"

namespace breakeven {

inline constexpr int64_t kRecordFormat = 1;

// What the documents of an arm have in common.
struct ArmIdentity {
  std::string model;
  std::string model_hash;
  std::string task;
  std::string variant;
  std::string template_hash;
  std::string split;
  std::optional<int64_t> train_size;  // null: not a checkpoint of ours
  std::optional<int64_t> seed;
  std::optional<int64_t> step;
  std::string precision;  // resolved: ScoringPrecision
};

struct DocumentIdentity {
  std::string id;  // JSON
  uint64_t hash = 0;
  std::string group;  // "" = none
};

// With its newline. Floats are the shortest that read back exactly.
std::string RecordLine(const ArmIdentity& arm, const DocumentIdentity& identity,
                       const DocumentRequests& document, const DocumentOutcome& outcome);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_RECORDS_H_
