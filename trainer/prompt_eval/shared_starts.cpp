// Pure.
#include "trainer/prompt_eval/shared_starts.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "trainer/prompt_eval/requests.h"

namespace breakeven {
namespace {

constexpr size_t kMaxThresholds = 64;

// Neighbours in the sorted list that all share at least `threshold` tokens.
struct Run {
  size_t begin = 0;
  size_t end = 0;
  int64_t shared = 0;
  int64_t saved() const { return (static_cast<int64_t>(end - begin) - 1) * shared; }
};

// `common[i]`: tokens that entries i and i + 1 share.
std::vector<Run> RunsOf(const std::vector<int64_t>& common, int64_t threshold) {
  std::vector<Run> runs;
  for (size_t begin = 0; begin < common.size();) {
    size_t end = begin;
    int64_t shared = 0;
    while (end < common.size() && common[end] >= threshold) {
      shared = end == begin ? common[end] : std::min(shared, common[end]);
      ++end;
    }
    const Run run{begin, end + 1, shared};
    if (static_cast<int64_t>(run.end - run.begin) >= kMinSharedMembers) runs.push_back(run);
    begin = end + 1;
  }
  return runs;
}

int64_t Saved(const std::vector<Run>& runs) {
  return std::accumulate(runs.begin(), runs.end(), int64_t{0},
                         [](int64_t sum, const Run& run) { return sum + run.saved(); });
}

// One threshold for the whole list, the one that saves most. So a document whose shots differ, because
// it is itself one of them, makes no trunk shorter for the others.
std::vector<Run> BestRuns(const std::vector<int64_t>& common) {
  std::set<int64_t> lengths;
  for (int64_t length : common) {
    if (length >= kMinSharedTokens) lengths.insert(length);
  }
  const std::vector<int64_t> sorted(lengths.begin(), lengths.end());
  const size_t stride = sorted.size() / kMaxThresholds + 1;
  std::vector<Run> best;
  for (size_t i = 0; i < sorted.size(); i += stride) {
    std::vector<Run> runs = RunsOf(common, sorted[i]);
    if (Saved(runs) > Saved(best)) best = std::move(runs);
  }
  return best;
}

}  // namespace

std::vector<SharedStart> FindSharedStarts(std::span<const std::span<const int32_t>> lists,
                                          int64_t fed_tokens) {
  std::vector<size_t> order(lists.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::lexicographical_compare(lists[a].begin(), lists[a].end(), lists[b].begin(),
                                        lists[b].end());
  });
  std::vector<int64_t> common;
  for (size_t i = 1; i < order.size(); ++i) {
    common.push_back(CommonPrefix(lists[order[i - 1]], lists[order[i]]));
  }
  const std::vector<Run> runs = BestRuns(common);
  std::vector<SharedStart> starts;
  if (Saved(runs) * 20 < fed_tokens) return starts;
  for (const Run& run : runs) {
    starts.push_back({{order.begin() + static_cast<int64_t>(run.begin),
                       order.begin() + static_cast<int64_t>(run.end)},
                      run.shared});
  }
  return starts;
}

}  // namespace breakeven
