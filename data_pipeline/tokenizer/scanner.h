// Pure. Hand-written equals of the regular expressions that nearly every byte-level BPE uses, ten
// times as fast as PCRE2. scanner_test.cpp holds them against PCRE2, tests/parity/test_tokenizer.py
// against `tokenizers`.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_SCANNER_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_SCANNER_H_

#include <optional>
#include <string_view>

#include "data_pipeline/tokenizer/unicode.h"

namespace breakeven {

// GPT-2's, which the pre-tokenizer ByteLevel with use_regex applies.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Llama 3's (digits in threes; tiktoken's cl100k written without possessive quantifiers) and Qwen
// 2's (single digits).
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Cuts well-formed UTF-8 into words. All three patterns match every character, so the words cover
// the text.
class Scanner {
 public:
  enum class Kind { kGpt2, kLlama3, kQwen2 };

  explicit Scanner(Kind kind) : kind_(kind), table_(CharacterTable::Get()) {}
  // The scanner whose pattern is exactly `pattern`, if there is one.
  static std::optional<Kind> Find(std::string_view pattern);

  // The end of the word that starts at `p`; p < end.
  const char* WordEnd(const char* p, const char* end) const {
    return kind_ == Kind::kGpt2 ? Gpt2(p, end) : Tiktoken(p, end, kind_ == Kind::kLlama3 ? 3 : 1);
  }

 private:
  const char* Gpt2(const char* p, const char* end) const;
  const char* Tiktoken(const char* p, const char* end, int max_digits) const;
  const char* Spaces(const char* p, const char* end, const char** last,
                     const char** after_newline) const;

  // The kinds of the character at p, and *next behind it.
  uint8_t KindsAt(const char* p, const char** next) const {
    const auto byte = static_cast<unsigned char>(*p);
    if (byte < 0x80) {
      *next = p + 1;
      return table_.AsciiKinds(byte);
    }
    return WideKindsAt(p, next);
  }
  uint8_t WideKindsAt(const char* p, const char** next) const;
  // The end of the run of characters of which every one has (`want` true) or lacks (false) a kind
  // of `mask`.
  template <bool want>
  const char* Run(const char* p, const char* end, uint8_t mask) const;

  Kind kind_;
  const CharacterTable& table_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_SCANNER_H_
