#include "data_pipeline/prepare_leaks.h"

#include <algorithm>
#include <unordered_set>

#include "data_pipeline/parallel.h"

namespace breakeven {
namespace {

using Lines = std::unordered_set<uint64_t>;

// How a kind of overlap is called in counts and warnings.
struct Wording {
  const char* count;    // name of the count, up to the other split's name
  const char* removed;  // name of the count of what train loses; "" = it loses nothing
  const char* shared;   // between "3 examples of dev" and "test too"
};

Wording WordingOf(OverlapKind kind) {
  switch (kind) {
    // A model that saw an example of dev or test in training would be scored on what it learned by
    // heart.
    case OverlapKind::kText:
      return {"duplicates_of_", "removed_duplicates", " stand in "};
    // Documents with one group key are near-duplicates of each other: the same leak by another door.
    // Split files may be cut without regard to the key; `split_fractions` never are.
    case OverlapKind::kGroup:
      return {"shared_groups_with_", "removed_shared_groups", " have a group_key of "};
    case OverlapKind::kNear:
      break;
  }
  return {"near_duplicates_of_", "", " are nearly equal to one of "};
}

Lines LinesOf(const PreparedSplit& split) {
  Lines lines;
  for (const PreparedExample& prepared : split.examples) lines.insert(prepared.example.id);
  return lines;
}

// Overlaps of one kind enter the counts; train loses what it shares.
void Close(OverlapKind kind, std::vector<PreparedSplit>& splits,
           const std::vector<Overlap>& overlaps, std::vector<std::string>& warnings) {
  const Wording wording = WordingOf(kind);
  for (PreparedSplit& split : splits) {
    const bool is_train = split.name == "train";
    const Lines kept = LinesOf(split);
    Lines shared;
    for (const Overlap& overlap : overlaps) {
      const std::string& other = overlap.other->name;
      if (overlap.kind != kind || overlap.split->name != split.name || other == "train") continue;
      int64_t count = 0;
      for (const auto& [line, partner] : overlap.lines) {
        count += kept.count(line) != 0 ? 1 : 0;
        shared.insert(line);
      }
      split.counts[wording.count + other] = count;
      if (count > 0 && !is_train && split.name < other) {
        warnings.push_back(std::to_string(count) + " examples of " + split.name + wording.shared +
                           other + " too: scores on the two are not independent");
      }
    }
    if (!is_train || wording.removed[0] == '\0') continue;
    split.counts[wording.removed] =
        static_cast<int64_t>(std::erase_if(split.examples, [&](const PreparedExample& prepared) {
          return shared.count(prepared.example.id) != 0;
        }));
  }
}

void CountRepetitions(PreparedSplit& split) {
  Lines seen;
  int64_t& count = split.counts["duplicates_within"];
  for (const PreparedExample& prepared : split.examples) {
    count += seen.insert(prepared.compared.content).second ? 0 : 1;
  }
}

// What is no longer in train cannot be near anything.
void ForgetRemoved(const PreparedSplit& train, std::vector<ComparedText>& texts) {
  const Lines kept = LinesOf(train);
  std::erase_if(texts, [&](const ComparedText& text) { return kept.count(text.line) == 0; });
}

void JudgeNear(const std::vector<Overlap>& near, const OverlapConfig& config,
               std::vector<std::string>& warnings) {
  for (const Overlap& overlap : near) {
    if (overlap.other->name != "train" || overlap.lines.empty()) continue;
    RefuseOverlap(overlap, config);
    warnings.push_back(DescribeOverlap(overlap) + "; they stay where they are");
  }
}

}  // namespace

void CloseLeaks(std::vector<PreparedSplit>& splits, const PrepareConfig& config,
                std::vector<std::string>& warnings) {
  std::vector<ComparedSplit> compared;
  for (PreparedSplit& split : splits) {
    CountRepetitions(split);
    compared.push_back({split.name, split.path, std::move(split.compared)});
  }
  const std::vector<Overlap> shared = FindShared(compared);
  for (const OverlapKind kind : {OverlapKind::kText, OverlapKind::kGroup}) {
    Close(kind, splits, shared, warnings);
  }
  for (size_t i = 0; i < splits.size(); ++i) {
    if (splits[i].name != "train") continue;
    ForgetRemoved(splits[i], compared[i].texts);
    const int64_t removed = splits[i].counts[WordingOf(OverlapKind::kGroup).removed];
    if (removed == 0) continue;
    warnings.push_back(std::to_string(removed) +
                       " examples of train were removed: their group_key stands in dev or test "
                       "too, so a model would be scored on what is nearly its training data");
  }
  const std::vector<Overlap> near = FindNear(compared, config.overlap, ThreadCount(config.threads));
  Close(OverlapKind::kNear, splits, near, warnings);
  JudgeNear(near, config.overlap, warnings);
}

}  // namespace breakeven
