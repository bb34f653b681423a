// Pure.
#include "data_pipeline/tokenizer/encode_pair.h"

#include <string>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const Tokenizer& tokenizer, const std::string& what) {
  throw Error(ErrorKind::kBadData, tokenizer.folder() + ": " + what);
}

// lm-evaluation-harness's tok_encode without settings: the tokenizer's special tokens, none when
// the text starts with the prefix token's text already.
std::vector<int32_t> EncodeAsHarness(const Tokenizer& tokenizer, std::string_view text) {
  const std::optional<int32_t> prefix = PrefixId(tokenizer);
  bool add_special_tokens = true;
  if (prefix.has_value()) {
    add_special_tokens = !text.starts_with(tokenizer.Decode({&*prefix, 1}));
  }
  return tokenizer.Encode(text, add_special_tokens);
}

// Nothing to condition on: the prefix token stands in, unless the continuation brings it along.
EncodedPair EncodeWithoutContext(const Tokenizer& tokenizer, std::string_view continuation) {
  const std::optional<int32_t> prefix = PrefixId(tokenizer);
  if (!prefix.has_value()) {
    Fail(tokenizer,
         "an empty prompt needs a bos_token or eos_token in tokenizer_config.json to start from; "
         "there is none");
  }
  EncodedPair pair;
  pair.continuation = tokenizer.Encode(continuation, false);
  pair.context = {*prefix};
  if (!pair.continuation.empty() && pair.continuation.front() == *prefix) {
    pair.continuation.erase(pair.continuation.begin());
  }
  return pair;
}

}  // namespace

std::optional<int32_t> PrefixId(const Tokenizer& tokenizer) {
  return tokenizer.bos_id().has_value() ? tokenizer.bos_id() : tokenizer.eos_id();
}

EncodedPair EncodePair(const Tokenizer& tokenizer, std::string_view context,
                       std::string_view continuation) {
  EncodedPair pair;
  if (context.empty()) {
    pair = EncodeWithoutContext(tokenizer, continuation);
  } else {
    const std::string_view kept = unicode::StripRight(context);
    const std::string moved = std::string(context.substr(kept.size())) + std::string(continuation);
    const std::vector<int32_t> whole = EncodeAsHarness(tokenizer, std::string(kept) + moved);
    pair.context = EncodeAsHarness(tokenizer, kept);
    if (pair.context.empty()) {
      // A prompt of white space only, and no token in front of it: the harness stops here.
      pair = EncodeWithoutContext(tokenizer, moved);
    } else if (whole.size() > pair.context.size()) {
      // The tail of the joint encoding by length, even where a token crosses the boundary: the
      // harness's scores are of exactly this sequence.
      pair.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(pair.context.size()),
                               whole.end());
    } else {
      pair.continuation = tokenizer.Encode(moved, false);
      pair.boundary_merge = true;
    }
  }
  if (pair.continuation.empty()) {
    Fail(tokenizer, "the continuation \"" + std::string(continuation) +
                        "\" of a prompt has no token to score");
  }
  return pair;
}

}  // namespace breakeven
