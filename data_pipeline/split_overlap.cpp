// Pure.
#include "data_pipeline/split_overlap.h"

#include <cstdio>
#include <unordered_map>
#include <unordered_set>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/parallel.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

constexpr size_t kShownLines = 5;
constexpr size_t kFewestRefused = 5;  // documents: a share of few is luck

uint64_t KeyOf(OverlapKind kind, const ComparedText& text) {
  return kind == OverlapKind::kText ? text.content : text.group;
}

// Texts or groups that both splits have.
Overlap FindEqual(OverlapKind kind, const ComparedSplit& split, const ComparedSplit& other) {
  std::unordered_map<uint64_t, uint64_t> known;  // key → line
  for (const ComparedText& text : other.texts) {
    if (KeyOf(kind, text) != 0) known.emplace(KeyOf(kind, text), text.line);
  }
  Overlap overlap{kind, &split, &other, {}};
  for (const ComparedText& text : split.texts) {
    const auto found = known.find(KeyOf(kind, text));
    if (found != known.end()) overlap.lines.emplace_back(text.line, found->second);
  }
  return overlap;
}

std::vector<std::vector<SketchedText>> Sketch(std::vector<ComparedSplit>& splits, int num_threads) {
  std::vector<const Shingles*> all;
  for (const ComparedSplit& split : splits) {
    for (const ComparedText& text : split.texts) all.push_back(&text.shingles);
  }
  const Shingles common = CommonShingles(all);
  std::vector<std::vector<SketchedText>> sketches;
  for (ComparedSplit& split : splits) {
    std::vector<SketchedText>& sketched = sketches.emplace_back(split.texts.size());
    ParallelFor(split.texts.size(), num_threads, [&](size_t i) {
      Shingles& shingles = split.texts[i].shingles;
      TakeOut(common, shingles);
      sketched[i] = {&shingles, BandsOf(shingles)};
    });
  }
  return sketches;
}

template <typename Work>
void ForPairs(size_t num_splits, const Work& work) {
  for (size_t a = 0; a < num_splits; ++a) {
    for (size_t b = 0; b < num_splits; ++b) {
      if (a != b) work(a, b);
    }
  }
}

const char* WhatIsShared(OverlapKind kind) {
  switch (kind) {
    case OverlapKind::kText:
      return " have the text of one in '";
    case OverlapKind::kGroup:
      return " have the group of one in '";
    case OverlapKind::kNear:
      break;
  }
  return " are nearly equal to one in '";
}

}  // namespace

void OverlapConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"near_similarity",
           "texts of two splits are near duplicates when they share this part of their runs of "
           "three words; 0 = not looked for",
           Between(0, 1), false},
          near_similarity);
  v.Visit(
      {"max_near_share",
       "refused when more than this part of dev's or test's documents, and five or more, are near "
       "one of train",
       Between(0, 1), false},
      max_near_share);
}

ComparedText CompareBy(std::string_view text, std::string_view group, uint64_t line, bool near) {
  const std::string normalised = NormaliseForComparison(text);
  return {line, Hash64(normalised), group.empty() ? 0 : Hash64(group),
          near ? ShinglesOf(normalised) : Shingles()};
}

double Overlap::Share() const {
  if (lines.empty()) return 0;
  return static_cast<double>(lines.size()) / static_cast<double>(split->texts.size());
}

std::vector<Overlap> FindShared(const std::vector<ComparedSplit>& splits) {
  std::vector<Overlap> overlaps;
  for (const OverlapKind kind : {OverlapKind::kText, OverlapKind::kGroup}) {
    ForPairs(splits.size(), [&](size_t a, size_t b) {
      overlaps.push_back(FindEqual(kind, splits[a], splits[b]));
    });
  }
  return overlaps;
}

std::vector<Overlap> FindNear(std::vector<ComparedSplit>& splits, const OverlapConfig& config,
                              int num_threads) {
  std::vector<Overlap> overlaps;
  if (config.near_similarity == 0 || splits.size() < 2) return overlaps;
  const auto sketches = Sketch(splits, num_threads);
  ForPairs(splits.size(), [&](size_t a, size_t b) {
    const ComparedSplit& split = splits[a];
    const ComparedSplit& other = splits[b];
    std::unordered_set<uint64_t> equal;
    for (const OverlapKind kind : {OverlapKind::kText, OverlapKind::kGroup}) {
      for (const auto& [line, partner] : FindEqual(kind, split, other).lines) equal.insert(line);
    }
    const auto nearest = FindNearest(sketches[a], sketches[b], config.near_similarity, num_threads);
    Overlap overlap{OverlapKind::kNear, &split, &other, {}};
    for (size_t i = 0; i < nearest.size(); ++i) {
      const uint64_t line = split.texts[i].line;
      if (!nearest[i].has_value() || equal.count(line) != 0) continue;
      overlap.lines.emplace_back(line, other.texts[nearest[i]->index].line);
    }
    overlaps.push_back(std::move(overlap));
  });
  return overlaps;
}

std::string DescribeOverlap(const Overlap& overlap) {
  std::string lines;
  for (size_t i = 0; i < overlap.lines.size() && i < kShownLines; ++i) {
    lines += (i == 0 ? "" : ", ") + std::to_string(overlap.lines[i].first) + " and " +
             std::to_string(overlap.lines[i].second);
  }
  return std::to_string(overlap.lines.size()) + " of " +
         std::to_string(overlap.split->texts.size()) + " documents of '" + overlap.split->name +
         "' (" + overlap.split->path + ")" + WhatIsShared(overlap.kind) + overlap.other->name +
         "' (" + overlap.other->path + "), as on lines " + lines;
}

void RefuseOverlap(const Overlap& overlap, const OverlapConfig& config) {
  if (overlap.lines.size() < kFewestRefused || overlap.Share() <= config.max_near_share) return;
  char share[32];
  std::snprintf(share, sizeof(share), "%g", config.max_near_share);
  throw Error(ErrorKind::kBadData, "splits overlap: " + DescribeOverlap(overlap) +
                                       ", more than overlap.max_near_share: " + share +
                                       ". A score on them is in part a score by heart: take them "
                                       "out, give the task a group_key that brings them together "
                                       "with split_fractions, or allow a larger share");
}

std::string NormaliseForComparison(std::string_view text) {
  const std::string lower = unicode::Lower(text);
  std::string result;
  bool blank = false;
  for (size_t at = 0; at < lower.size();) {
    const size_t begin = at;
    if (unicode::IsSpace(unicode::Next(lower, at))) {
      blank = !result.empty();
      continue;
    }
    if (blank) result += ' ';
    blank = false;
    result.append(lower, begin, at - begin);
  }
  return result;
}

}  // namespace breakeven
