// The only place where a rendered (context, continuation) becomes tokens, for training and scoring alike, so that a
// model is trained on exactly the boundary it is scored on.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_ENCODE_PAIR_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_ENCODE_PAIR_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "data_pipeline/tokenizer/tokenizer.h"

namespace breakeven {

struct EncodedPair {
  std::vector<int32_t> context;
  std::vector<int32_t> continuation;
  // The joint encoding left no token to the continuation, so it was encoded alone. lm-evaluation-harness stops here.
  bool boundary_merge = false;
};

// The token that stands before what nothing stands before: BOS, else EOS, else none.
std::optional<int32_t> PrefixId(const Tokenizer& tokenizer);

// lm-evaluation-harness 0.4.13's rule (lm_eval/api/model.py, _encode_pair and loglikelihood): trailing Unicode white
// space of the context moves to the continuation; both are encoded with the tokenizer's special tokens (none when the
// text starts with the BOS text already); the continuation is what the joint encoding has beyond the context's own
// length. An empty context becomes the prefix token, which is not scored. Error(kBadData) when the context is empty and
// the tokenizer has none, or when the continuation has no token.
EncodedPair EncodePair(const Tokenizer& tokenizer, std::string_view context,
                       std::string_view continuation);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_ENCODE_PAIR_H_
