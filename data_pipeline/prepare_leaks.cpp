#include "data_pipeline/prepare_leaks.h"

#include <algorithm>

namespace breakeven {
namespace {

// What train must not share with dev and test.
struct Leak {
  std::unordered_set<uint64_t> PreparedSplit::*of_all;
  uint64_t (*of_one)(const PreparedExample& prepared);
  const char* count;    // name of the count, up to the other split's name
  const char* removed;  // name of the count of what train loses
  const char* shared;   // between "3 examples of dev" and "test too"

  bool Has(const PreparedSplit& other, const PreparedExample& prepared) const {
    return (other.*of_all).count(of_one(prepared)) != 0;
  }
};

// A model that saw an example of dev or test in training would be scored on what it learned by
// heart.
constexpr Leak kDuplicates = {&PreparedSplit::contents,
                              [](const PreparedExample& prepared) { return prepared.content_hash; },
                              "duplicates_of_", "removed_duplicates", " stand in "};
// Documents with one group key are near-duplicates of each other: the same leak by another door.
// Split files may be cut without regard to the key; `split_fractions` never are.
constexpr Leak kSharedGroups = {
    &PreparedSplit::groups, [](const PreparedExample& prepared) { return prepared.example.group; },
    "shared_groups_with_", "removed_shared_groups", " have a group_key of "};

void CloseLeak(const Leak& leak, std::vector<PreparedSplit>& splits,
               std::vector<std::string>& warnings) {
  for (PreparedSplit& split : splits) {
    const bool is_train = split.name == "train";
    for (const PreparedSplit& other : splits) {
      if (other.name == split.name || other.name == "train") continue;
      const int64_t count =
          std::count_if(split.examples.begin(), split.examples.end(),
                        [&](const PreparedExample& prepared) { return leak.Has(other, prepared); });
      split.counts[leak.count + other.name] = count;
      if (count > 0 && !is_train && split.name < other.name) {
        warnings.push_back(std::to_string(count) + " examples of " + split.name + leak.shared +
                           other.name + " too: scores on the two are not independent");
      }
    }
    if (!is_train) continue;
    const auto stands_elsewhere = [&](const PreparedExample& prepared) {
      return std::any_of(splits.begin(), splits.end(), [&](const PreparedSplit& other) {
        return other.name != "train" && leak.Has(other, prepared);
      });
    };
    split.counts[leak.removed] =
        static_cast<int64_t>(std::erase_if(split.examples, stands_elsewhere));
  }
}

void CountRepetitions(PreparedSplit& split) {
  std::unordered_set<uint64_t> seen;
  int64_t& count = split.counts["duplicates_within"];
  for (const PreparedExample& prepared : split.examples) {
    count += seen.insert(prepared.content_hash).second ? 0 : 1;
  }
}

}  // namespace

void CloseLeaks(std::vector<PreparedSplit>& splits, std::vector<std::string>& warnings) {
  for (PreparedSplit& split : splits) CountRepetitions(split);
  CloseLeak(kDuplicates, splits, warnings);
  CloseLeak(kSharedGroups, splits, warnings);
  for (PreparedSplit& split : splits) {
    const int64_t removed = split.name == "train" ? split.counts[kSharedGroups.removed] : 0;
    if (removed == 0) continue;
    warnings.push_back(std::to_string(removed) +
                       " examples of train were removed: their group_key stands in dev or test "
                       "too, so a model would be scored on what is nearly its training data");
  }
}

}  // namespace breakeven
