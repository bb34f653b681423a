#include "data_pipeline/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "comm/base/utf8.h"

namespace breakeven {
namespace {

// Spans of the matches of `regex` and of what lies between them.
void MatchPattern(const Regex& regex, std::string_view piece, PreTokenizer::Scratch* scratch) {
  regex.FindAll(piece, &scratch->matches);
  size_t from = 0;
  for (const Span& match : scratch->matches) {
    if (match.begin > from) scratch->spans.push_back({{from, match.begin}, false});
    scratch->spans.push_back({match, true});
    from = match.end;
  }
  if (from < piece.size()) scratch->spans.push_back({{from, piece.size()}, false});
}

// Each character with a kind of `mask` is a match of its own.
void MatchCharacters(uint8_t mask, std::string_view piece, PreTokenizer::Scratch* scratch) {
  const CharacterTable& table = CharacterTable::Get();
  const char* p = piece.data();
  const char* end = p + piece.size();
  const char* from = p;
  const auto offset = [&](const char* at) { return static_cast<size_t>(at - piece.data()); };
  while (p < end) {
    const char* start = p;
    if ((table.Kinds(NextCodePoint(p)) & mask) == 0) continue;
    if (from < start) scratch->spans.push_back({{offset(from), offset(start)}, false});
    scratch->spans.push_back({{offset(start), offset(p)}, true});
    from = p;
  }
  if (from < end) scratch->spans.push_back({{offset(from), offset(end)}, false});
}

// Runs of word characters and runs of what is neither word nor space.
void CutWhitespace(std::string_view piece, std::vector<std::string_view>* out) {
  const CharacterTable& table = CharacterTable::Get();
  const char* p = piece.data();
  const char* end = p + piece.size();
  const auto type = [&](uint8_t kinds) {
    return (kinds & kWord) != 0 ? 1 : (kinds & kSpace) != 0 ? 0 : 2;
  };
  const char* from = p;
  int running = 0;
  while (p < end) {
    const char* start = p;
    const int here = type(table.Kinds(NextCodePoint(p)));
    if (here == running) continue;
    if (running != 0) out->emplace_back(from, static_cast<size_t>(start - from));
    running = here;
    from = start;
  }
  if (running != 0) out->emplace_back(from, static_cast<size_t>(end - from));
}

}  // namespace

void ApplySplitBehavior(const std::vector<MatchedSpan>& spans, SplitBehavior behavior,
                        std::vector<Span>* pieces) {
  pieces->clear();
  bool previous = false;
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (size_t i = spans.size(); i-- > 0;) {
      const bool matched = spans[i].matched;
      if (matched && !previous && !pieces->empty()) {
        pieces->back().begin = spans[i].span.begin;
      } else {
        pieces->push_back(spans[i].span);
      }
      previous = matched;
    }
    std::reverse(pieces->begin(), pieces->end());
  } else {
    for (const MatchedSpan& each : spans) {
      const bool joins =
          (behavior == SplitBehavior::kMergedWithPrevious && each.matched && !previous) ||
          (behavior == SplitBehavior::kContiguous && each.matched == previous);
      if (joins && !pieces->empty()) {
        pieces->back().end = each.span.end;
      } else if (behavior != SplitBehavior::kRemoved || !each.matched) {
        pieces->push_back(each.span);
      }
      previous = each.matched;
    }
  }
  std::erase_if(*pieces, [](const Span& piece) { return piece.begin == piece.end; });
}

void PreTokenizer::AddScanner(Scanner::Kind kind) {
  stages_.push_back({.kind = Stage::Kind::kScanner, .scanner = kind});
}

void PreTokenizer::AddSplit(std::string_view pattern, SplitBehavior behavior, bool invert) {
  const std::optional<Scanner::Kind> known = Scanner::Find(pattern);
  // The scanners' patterns match every character: Isolated gives the words, and so does Removed
  // inverted.
  const bool gives_words =
      (behavior == SplitBehavior::kIsolated) || (behavior == SplitBehavior::kRemoved && invert);
  if (known.has_value() && gives_words) {
    AddScanner(*known);
    return;
  }
  stages_.push_back({.kind = Stage::Kind::kPattern,
                     .behavior = behavior,
                     .invert = invert,
                     .regex = std::make_shared<const Regex>(pattern)});
}

void PreTokenizer::AddCharacterSplit(CharacterKind kind, SplitBehavior behavior) {
  stages_.push_back({.kind = Stage::Kind::kCharacters, .behavior = behavior, .characters = kind});
}

void PreTokenizer::AddWhitespace() { stages_.push_back({.kind = Stage::Kind::kWhitespace}); }

void PreTokenizer::AddByteLevel(bool add_prefix_space, bool use_regex) {
  if (add_prefix_space) stages_.push_back({.kind = Stage::Kind::kPrefixSpace});
  if (use_regex) AddScanner(Scanner::Kind::kGpt2);
  if (!stages_.empty() && stages_.back().kind == Stage::Kind::kScanner) {
    tail_.emplace(stages_.back().scanner);
    stages_.pop_back();
  }
}

void PreTokenizer::RunStages(std::string_view text, Scratch* scratch) const {
  scratch->copies.clear();
  scratch->pieces.assign(1, text);
  for (const Stage& stage : stages_) {
    scratch->next.clear();
    if (stage.kind == Stage::Kind::kPrefixSpace) scratch->copies.reserve(scratch->pieces.size());
    for (const std::string_view piece : scratch->pieces) RunStage(stage, piece, scratch);
    std::swap(scratch->pieces, scratch->next);
  }
}

void PreTokenizer::RunStage(const Stage& stage, std::string_view piece, Scratch* scratch) const {
  if (stage.kind == Stage::Kind::kPrefixSpace) {
    if (piece.starts_with(' ')) {
      scratch->next.push_back(piece);
    } else {
      scratch->copies.push_back(" ");
      scratch->next.push_back(scratch->copies.back().append(piece));
    }
    return;
  }
  if (stage.kind == Stage::Kind::kWhitespace) {
    CutWhitespace(piece, &scratch->next);
    return;
  }
  if (stage.kind == Stage::Kind::kScanner) {
    const Scanner scanner(stage.scanner);
    const char* p = piece.data();
    const char* end = p + piece.size();
    while (p < end) {
      const char* word_end = scanner.WordEnd(p, end);
      scratch->next.emplace_back(p, static_cast<size_t>(word_end - p));
      p = word_end;
    }
    return;
  }
  scratch->spans.clear();
  if (stage.kind == Stage::Kind::kPattern) {
    MatchPattern(*stage.regex, piece, scratch);
  } else {
    MatchCharacters(stage.characters, piece, scratch);
  }
  if (stage.invert) {
    for (MatchedSpan& each : scratch->spans) each.matched = !each.matched;
  }
  ApplySplitBehavior(scratch->spans, stage.behavior, &scratch->cut);
  for (const Span& cut : scratch->cut) {
    scratch->next.push_back(piece.substr(cut.begin, cut.end - cut.begin));
  }
}

}  // namespace breakeven
