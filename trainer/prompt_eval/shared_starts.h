// Pure. What many lists of tokens begin with.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SHARED_STARTS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SHARED_STARTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace breakeven {

// What is worth keeping: fewer tokens, or those of fewer lists, cost as much as they save.
inline constexpr int64_t kMinSharedTokens = 16;
inline constexpr int64_t kMinSharedMembers = 3;

// `num_tokens` tokens that every one of `members` begins with.
struct SharedStart {
  // Places in the list that was asked about, ascending by tokens; at least kMinSharedMembers.
  std::vector<size_t> members;
  int64_t num_tokens = 0;  // at least kMinSharedTokens
};

// Those that save most tokens when each is fed once; a list has at most one. A function of the complete list. None where they
// would save less than a twentieth of `fed_tokens`.
std::vector<SharedStart> FindSharedStarts(std::span<const std::span<const int32_t>> lists,
                                          int64_t fed_tokens);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SHARED_STARTS_H_
