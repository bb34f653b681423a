// Pure.
#include "data_pipeline/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>

#include "comm/base/error.h"
#include "comm/base/utf8.h"
#include "data_pipeline/tokenizer/unicode_tables.h"

namespace breakeven {
namespace {

constexpr uint32_t kEnd = 0x110000;

uint8_t KindsOfCategory(char major, char minor) {
  uint8_t kinds = 0;
  if (major == 'L') kinds |= kLetter | kWord;
  if (major == 'M') kinds |= kWord;
  if (major == 'N') kinds |= kNumber | kNumeric;
  if (major == 'N' && minor != 'o') kinds |= kWord;
  if (major == 'P') kinds |= kPunctuation;
  if (major == 'P' && minor == 'c') kinds |= kWord;
  return kinds;
}

template <size_t kSize>
void Mark(std::vector<uint8_t>* kinds, const CodePointRange (&ranges)[kSize], uint8_t kind,
          bool on) {
  for (const CodePointRange& range : ranges) {
    for (uint32_t c = range.low; c <= range.high; ++c) {
      (*kinds)[c] = on ? (*kinds)[c] | kind : (*kinds)[c] & static_cast<uint8_t>(~kind);
    }
  }
}

std::vector<uint8_t> AllKinds() {
  std::vector<uint8_t> kinds(kEnd);
  for (uint32_t c = 0; c < kEnd; ++c) {
    const char* category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
    kinds[c] = KindsOfCategory(category[0], category[1]);
  }
  for (const TaggedRange& range : kAddedSince14) {
    for (uint32_t c = range.low; c <= range.high; ++c) {
      kinds[c] = KindsOfCategory(range.category[0], range.category[1]);
    }
  }
  for (const char c : std::string_view("$+<=>^`|~")) {
    kinds[static_cast<unsigned char>(c)] |= kPunctuation;
  }
  Mark(&kinds, kExtraNumeric, kNumeric, true);
  Mark(&kinds, kExtraPunctuation, kPunctuation, true);
  Mark(&kinds, kNotYetPunctuation, kPunctuation, false);
  Mark(&kinds, kExtraWord, kWord, true);
  constexpr CodePointRange kSpaces[] = {
      {0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  Mark(&kinds, kSpaces, kSpace, true);
  kinds['\r'] |= kNewline;
  kinds['\n'] |= kNewline;
  return kinds;
}

bool IsBarrier(uint32_t c) {
  const auto contains = [c](const auto& ranges) {
    const auto* after =
        std::upper_bound(std::begin(ranges), std::end(ranges), c,
                         [](uint32_t value, const auto& r) { return value < r.low; });
    return after != std::begin(ranges) && c <= std::prev(after)->high;
  };
  return contains(kNormalizationBarriers) || contains(kAddedSince14);
}

// Characters of common scripts that every form leaves as they are, whatever stands beside them:
// below U+00A0, and for the composed form also below U+0300, ideographs, Hangul syllables before a
// non-jamo (checked by the caller's run: jamo are not in this list), kana without voicing marks,
// general punctuation without compatibility characters.
bool IsInert(uint32_t c, NormalizationForm form) {
  if (c < 0xA0) return true;
  if (c >= 0x4E00 && c <= 0x9FD5) return true;
  if (form != NormalizationForm::kNfc) return false;
  return c < 0x300 || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x3041 && c <= 0x3096) ||
         (c >= 0x30A1 && c <= 0x30FA) || (c >= 0x0400 && c <= 0x0481) ||
         (c >= 0x2002 && c <= 0x20CF);
}

bool AllInert(std::string_view text, NormalizationForm form) {
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    if (!IsInert(NextCodePoint(p), form)) return false;
  }
  return true;
}

void AppendNormalized(std::string_view text, NormalizationForm form, std::string* out) {
  if (text.empty()) return;
  int options = UTF8PROC_STABLE;
  const bool compose = form == NormalizationForm::kNfc || form == NormalizationForm::kNfkc;
  options |= compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalizationForm::kNfkc || form == NormalizationForm::kNfkd) {
    options |= UTF8PROC_COMPAT;
  }
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &result, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  BE_CHECK(length >= 0, std::string("utf8proc: ") + utf8proc_errmsg(length));
  out->append(reinterpret_cast<const char*>(result), static_cast<size_t>(length));
}

}  // namespace

CharacterTable::CharacterTable() {
  const std::vector<uint8_t> kinds = AllKinds();
  std::map<std::string_view, uint32_t> known;
  for (uint32_t page = 0; page < page_of_.size(); ++page) {
    const std::string_view content(reinterpret_cast<const char*>(kinds.data()) + page * 256, 256);
    const auto [it, is_new] = known.emplace(content, static_cast<uint32_t>(pages_.size()));
    if (is_new) pages_.insert(pages_.end(), content.begin(), content.end());
    page_of_[page] = it->second;
  }
}

const CharacterTable& CharacterTable::Get() {
  static const CharacterTable table;
  return table;
}

std::string Normalize(std::string_view text, NormalizationForm form) {
  if (AllInert(text, form)) return std::string(text);
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  const char* p = text.data();
  const char* end = p + text.size();
  const char* run = p;
  while (p < end) {
    const char* start = p;
    if (!IsBarrier(NextCodePoint(p))) continue;
    AppendNormalized({run, static_cast<size_t>(start - run)}, form, &out);
    out.append(start, p);
    run = p;
  }
  AppendNormalized({run, static_cast<size_t>(end - run)}, form, &out);
  return out;
}

}  // namespace breakeven
