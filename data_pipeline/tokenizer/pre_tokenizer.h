// The pre-tokenizers of tokenizer.json, fused into one pass over the text: cuts it into the words
// that the model sees.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_PRE_TOKENIZER_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_PRE_TOKENIZER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data_pipeline/tokenizer/regex.h"
#include "data_pipeline/tokenizer/scanner.h"
#include "data_pipeline/tokenizer/unicode.h"

namespace breakeven {

// What becomes of the matches of a splitting pattern.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct MatchedSpan {
  Span span;
  bool matched = false;
};
// Spans cover the text in order. Returns the pieces that are left; empty ones are dropped. Pure.
void ApplySplitBehavior(const std::vector<MatchedSpan>& spans, SplitBehavior behavior,
                        std::vector<Span>* pieces);

// Stages in order; ByteLevel must come last (the loader sees to it). Immutable once filled.
class PreTokenizer {
 public:
  // Split on a pattern in Oniguruma's syntax. `invert`: what does not match is what matches.
  void AddSplit(std::string_view pattern, SplitBehavior behavior, bool invert);
  // Split on characters of a kind.
  void AddCharacterSplit(CharacterKind kind, SplitBehavior behavior);
  // \w+|[^\w\s]+ with \w of Rust: the pre-tokenizer Whitespace.
  void AddWhitespace();
  // ByteLevel's own part: a blank before each piece that has none, then the GPT-2 pattern.
  void AddByteLevel(bool add_prefix_space, bool use_regex);

  struct Scratch {
    std::vector<std::string_view> pieces, next;
    std::vector<std::string> copies;
    std::vector<Span> matches, cut;
    std::vector<MatchedSpan> spans;
  };
  // Calls `word` with each word of `text` in order. The views live until the call returns.
  template <typename Function>
  void ForEachWord(std::string_view text, Scratch* scratch, Function word) const {
    if (stages_.empty()) {
      EachTailWord(text, word);
      return;
    }
    RunStages(text, scratch);
    for (const std::string_view piece : scratch->pieces) EachTailWord(piece, word);
  }

 private:
  struct Stage {
    enum class Kind { kPattern, kScanner, kCharacters, kWhitespace, kPrefixSpace };
    Kind kind;
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;
    CharacterKind characters = kSpace;
    std::shared_ptr<const Regex> regex = nullptr;
    Scanner::Kind scanner = Scanner::Kind::kGpt2;
  };
  void AddScanner(Scanner::Kind kind);
  // Fills scratch->pieces with what all stages but the tail leave.
  void RunStages(std::string_view text, Scratch* scratch) const;
  void RunStage(const Stage& stage, std::string_view piece, Scratch* scratch) const;

  template <typename Function>
  void EachTailWord(std::string_view piece, Function& word) const {
    if (!tail_.has_value()) {
      word(piece);
      return;
    }
    const char* p = piece.data();
    const char* end = p + piece.size();
    while (p < end) {
      const char* word_end = tail_->WordEnd(p, end);
      word(std::string_view(p, static_cast<size_t>(word_end - p)));
      p = word_end;
    }
  }

  std::vector<Stage> stages_;
  std::optional<Scanner> tail_;  // the last stage where it is a scanner: its words are not stored
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_PRE_TOKENIZER_H_
