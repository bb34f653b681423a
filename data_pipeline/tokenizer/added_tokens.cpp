// Pure.
#include "data_pipeline/tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "comm/base/utf8.h"
#include "data_pipeline/tokenizer/unicode.h"

namespace breakeven {
namespace {

uint8_t KindsBefore(std::string_view text, size_t position) {
  const char* p = PreviousCharacter(text.data() + position);
  return CharacterTable::Get().Kinds(NextCodePoint(p));
}

uint8_t KindsAfter(std::string_view text, size_t position) {
  const char* p = text.data() + position;
  return CharacterTable::Get().Kinds(NextCodePoint(p));
}

bool TouchesWord(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && (KindsBefore(text, begin) & kWord) != 0) ||
         (end < text.size() && (KindsAfter(text, end) & kWord) != 0);
}

size_t SkipSpacesBack(std::string_view text, size_t position) {
  while (position > 0 && (KindsBefore(text, position) & kSpace) != 0) {
    position = static_cast<size_t>(PreviousCharacter(text.data() + position) - text.data());
  }
  return position;
}

size_t SkipSpaces(std::string_view text, size_t position) {
  while (position < text.size() && (KindsAfter(text, position) & kSpace) != 0) {
    const char* p = text.data() + position;
    NextCodePoint(p);
    position = static_cast<size_t>(p - text.data());
  }
  return position;
}

}  // namespace

void AddedTokenMatcher::Add(std::string_view pattern, const AddedToken& token) {
  int32_t node = 0;
  for (const char c : pattern) {
    const auto byte = static_cast<unsigned char>(c);
    std::vector<Edge>& edges = nodes_[static_cast<size_t>(node)].edges;
    const auto at = std::lower_bound(edges.begin(), edges.end(), byte,
                                     [](const Edge& e, unsigned char b) { return e.byte < b; });
    if (at != edges.end() && at->byte == byte) {
      node = at->node;
      continue;
    }
    const auto added = static_cast<int32_t>(nodes_.size());
    edges.insert(at, {byte, added});
    nodes_.emplace_back();
    node = added;
  }
  Node& last = nodes_[static_cast<size_t>(node)];
  if (last.token >= 0) return;
  last.token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  if (bool& start = starts_[static_cast<unsigned char>(pattern[0])]; !start) {
    start = true;
    ++num_starts_;
    only_start_ = pattern[0];
  }
}

AddedTokenMatcher::Match AddedTokenMatcher::LongestAt(std::string_view text, size_t from) const {
  Match longest;
  int32_t node = 0;
  for (size_t i = from; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::vector<Edge>& edges = nodes_[static_cast<size_t>(node)].edges;
    const auto at = std::lower_bound(edges.begin(), edges.end(), byte,
                                     [](const Edge& e, unsigned char b) { return e.byte < b; });
    if (at == edges.end() || at->byte != byte) break;
    node = at->node;
    if (nodes_[static_cast<size_t>(node)].token >= 0) {
      longest = {i + 1, nodes_[static_cast<size_t>(node)].token};
    }
  }
  return longest;
}

void AddedTokenMatcher::Split(std::string_view text, std::vector<AddedPiece>* pieces) const {
  size_t from = 0;   // where the search goes on: behind the last match, kept or not
  size_t taken = 0;  // up to where pieces cover the text
  while (num_starts_ > 0 && from < text.size()) {
    if (num_starts_ == 1) {  // the usual case: every token begins with <
      const void* at = std::memchr(text.data() + from, only_start_, text.size() - from);
      if (at == nullptr) break;
      from = static_cast<size_t>(static_cast<const char*>(at) - text.data());
    } else if (!starts_[static_cast<unsigned char>(text[from])]) {
      ++from;
      continue;
    }
    const Match match = LongestAt(text, from);
    if (match.token < 0) {
      ++from;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(match.token)];
    size_t begin = from;
    size_t end = match.end;
    from = match.end;
    if (token.single_word && TouchesWord(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(SkipSpacesBack(text, begin), taken);
    if (token.rstrip) end = SkipSpaces(text, end);
    if (taken < begin) pieces->push_back({text.substr(taken, begin - taken), -1});
    pieces->push_back({text.substr(begin, end - begin), token.id});
    taken = end;
  }
  if (taken < text.size()) pieces->push_back({text.substr(taken), -1});
}

}  // namespace breakeven
