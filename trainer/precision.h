// Pure. Which type a run computes in.
#ifndef BREAKEVEN_TRAINER_PRECISION_H_
#define BREAKEVEN_TRAINER_PRECISION_H_

#include <string>
#include <string_view>

#include "comm/base/fields.h"
#include "comm/world.h"

namespace breakeven {

// What a rank's processor or device is like, for AgreeOnPrecision.
struct BFloat16Support {
  bool is_fast = false;
  std::string place;  // "host node03: neither AVX512-BF16 nor AMX": read where it is not fast
};
BFloat16Support DescribeBFloat16(const World& world);

// COLLECTIVE. "float32" or "bfloat16", the same on every rank: what `asked` says; for "auto"
// bfloat16 where it is fast on every rank, else float32. Error(kMachine) on all ranks that names the
// first rank without it when "bfloat16" is asked for and not `forced`.
std::string AgreeOnPrecision(std::string_view asked, bool forced, const BFloat16Support& own,
                             Control& control);

// The keys of a config that say in which type models are asked: of what scores and generates, not of what trains. In
// no config's hash: what was computed in bfloat16 says so itself (ArmHash).
struct ScoringPrecision {
  std::string type = "float32";  // auto | float32 | bfloat16
  bool force_bfloat16 = false;
  void VisitFields(FieldVisitor& v);
  // COLLECTIVE. Puts in place of auto what it means on these ranks. Errors: AgreeOnPrecision.
  void Resolve(const World& world);
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PRECISION_H_
