// Pure. One row of logits → the next token.
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_SAMPLING_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_SAMPLING_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

struct SamplingOptions {
  double temperature = 0;  // 0 = greedy
  double top_p = 1;        // (0, 1]
  int64_t top_k = 0;       // 0 = all
};

// Greedy: the largest logit, the lowest id of equals. Else: logits ÷ temperature, cut to the top_k
// largest (ties with the last stay), then to the smallest set of likeliest tokens with at least
// top_p of the probability, drawn by `uniform` in [0, 1). The order of the cuts is transformers'.
int32_t ChooseToken(std::span<const float> logits, const SamplingOptions& options, double uniform);

// `text` up to the first occurrence of each stop text in turn, as lm-evaluation-harness cuts.
std::string CutAtStops(std::string_view text, std::span<const std::string> stops);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_SAMPLING_H_
