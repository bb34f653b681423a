// Pure. What kind of character a code point is, as the parts of Hugging Face `tokenizers` see it,
// and the normalisation forms with its data. Each part there has another Unicode version: see
// make_unicode_tables.py.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_UNICODE_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_UNICODE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

enum CharacterKind : uint8_t {
  kLetter = 1,        // \p{L} of the regex engine, Unicode 16
  kNumber = 2,        // \p{N} of the regex engine
  kSpace = 4,         // White_Space: \s, and char::is_whitespace
  kNewline = 8,       // \r and \n
  kNumeric = 16,      // char::is_numeric, Unicode 17: the pre-tokenizer Digits
  kPunctuation = 32,  // the pre-tokenizer Punctuation
  kWord = 64,         // \w of Rust's regex crate: single_word, the pre-tokenizer Whitespace
};

// Two steps (page, then place in the page), about 100 KB: stays in the second-level cache.
class CharacterTable {
 public:
  // Made at first use, 10 ms; the same for all tokenizers.
  static const CharacterTable& Get();

  uint8_t Kinds(uint32_t code_point) const {
    return pages_[page_of_[code_point >> 8] + (code_point & 0xFF)];
  }
  uint8_t AsciiKinds(unsigned char byte) const { return pages_[byte]; }  // page 0 comes first

 private:
  CharacterTable();
  std::array<uint32_t, 0x1100> page_of_;
  std::vector<uint8_t> pages_;
};

enum class NormalizationForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` is well-formed UTF-8. Characters newer than the data of `tokenizers` stay as they are, and
// nothing is composed or reordered across them.
std::string Normalize(std::string_view text, NormalizationForm form);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_UNICODE_H_
