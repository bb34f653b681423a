// Pure. Documents under one prompt variant → token sequences to score or to continue, cut to what
// the model can see. The rules are lm-evaluation-harness 0.4.13's (lm_eval/api/model.py,
// lm_eval/models/huggingface.py; rolling windows: lm_eval/utils.py).
#ifndef BREAKEVEN_TRAINER_PROMPT_EVAL_REQUESTS_H_
#define BREAKEVEN_TRAINER_PROMPT_EVAL_REQUESTS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/document.h"
#include "data_pipeline/example_renderer.h"
#include "data_pipeline/task.h"
#include "data_pipeline/tokenizer/tokenizer.h"

namespace breakeven {

// Tokens of which the last `num_scored` are scored, each given all before it. 0 <= num_scored <
// tokens.size(); a request for a generation scores none. At most max_length + 1 tokens, because the
// last one is never fed.
struct TokenRequest {
  std::vector<int32_t> tokens;
  int64_t num_scored = 0;
};

// How many tokens both begin with.
int64_t CommonPrefix(std::span<const int32_t> a, std::span<const int32_t> b);

// What a model says to a TokenRequest.
struct RequestScore {
  double loglikelihood = 0;  // natural log of all scored tokens; each in float32, summed in float64
  bool is_greedy = true;     // every scored token has the largest logit of its row
};

// A text whose likelihood counts, without the delimiter before it.
struct ScoredText {
  std::string text;
  int64_t num_tokens = 0;  // scored, delimiter included
  int64_t num_bytes = 0;
  int64_t num_chars = 0;  // Unicode code points
};

struct DocumentRequests {
  std::vector<TokenRequest>
      requests;  // one a choice; one a window of rolling text; one prompt to continue
  std::vector<ScoredText> texts;     // the choices; the target; the rolling text; none
  std::string target;                // the right answer, the first of several
  std::vector<std::string> targets;  // generations: all right answers
  std::vector<std::string>
      field_choices;  // generations: the document's own choices, for filters that ask for them
  int64_t gold = -1;  // index of the right choice, the first of several
  std::vector<int64_t> golds;   // of all right choices
  int64_t prompt_tokens = 0;    // context tokens that the model sees (of the first choice)
  bool truncated = false;       // a request lost tokens at its left
  bool boundary_merge = false;  // see EncodedPair
};

struct RequestOptions {
  int64_t max_length = 0;  // tokens that the model sees at once
  bool rolling_bos_scored =
      false;  // rolling: score the BOS that the tokenizer adds, as the harness does
  int64_t max_new_tokens = 0;  // generation: room to leave behind the prompt
};

// The request of each choice behind `context`. Errors as BuildRequests', without the document's name.
DocumentRequests RequestChoices(const Tokenizer& tokenizer, const std::string& context,
                                const std::string& delimiter, std::span<const std::string> choices,
                                int64_t max_length);

// One entry a document, in order. `shots[i]` are numbers in `pool`, as DrawShots gives them. Errors
// (kBadData) name task, variant and the document's line: choices that are empty, stand there twice
// or have no token; a continuation longer than the model can see; an empty rolling text.
std::vector<DocumentRequests> BuildRequests(
    const TaskConfig& task, const PromptConfig& prompt, const ExampleRenderer& renderer,
    const Tokenizer& tokenizer, std::span<const Document> documents, std::span<const Document> pool,
    const std::vector<std::vector<int64_t>>& shots, const RequestOptions& options);

// Context and continuation as one request: its last max_length + 1 tokens. `truncated` is set when
// some were cut.
TokenRequest MakeRequest(std::span<const int32_t> context, std::span<const int32_t> continuation,
                         int64_t max_length, bool& truncated);

// Windows of at most max_length + 1 tokens that score each of `tokens` exactly once: the first
// behind `prefix`, the last slid back so that its tokens have full context.
std::vector<TokenRequest> RollingWindows(std::span<const int32_t> tokens, int32_t prefix,
                                         int64_t max_length);

// Length of Python's re.split(r"\s+", text): white space at an end counts an empty word.
int64_t CountWords(std::string_view utf8);

// Ids of a prompt to continue: with the tokenizer's special tokens, none when it starts with the
// BOS text already; of an empty one the prefix token (encode_pair.h). Error(kBadData) when it is
// empty and the tokenizer has none.
std::vector<int32_t> PromptTokens(const Tokenizer& tokenizer, std::string_view text);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_PROMPT_EVAL_REQUESTS_H_
