// Pure. What many lists of tokens begin with.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SHARED_STARTS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SHARED_STARTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace breakeven {

// `num_tokens` tokens that every one of `members` begins with.
struct SharedStart {
  std::vector<size_t>
      members;  // places in the list that was asked about, at least three; ascending by tokens
  int64_t num_tokens = 0;  // at least kMinSharedTokens
};

inline constexpr int64_t kMinSharedTokens = 16;  // fewer cost as much as they save

// Those that save most tokens when each is fed once; a list has at most one. A function of the complete list. None where they
// would save less than a twentieth of `fed_tokens`.
std::vector<SharedStart> FindSharedStarts(std::span<const std::span<const int32_t>> lists,
                                          int64_t fed_tokens);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SHARED_STARTS_H_
