// Pure.
#include "trainer/prompt_eval/score_trunks.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace breakeven {
namespace {

constexpr int64_t kMinTrunkTokens = 16;  // shorter ones cost as much as they save
constexpr int64_t kMinUnits = 3;
constexpr size_t kMaxThresholds = 64;

// The start of a unit that may be in a trunk: in front of the row that predicts its first scored token,
// and never the whole prefix.
std::span<const int32_t> Shareable(const DocumentRequests& document, const ScoreUnit& unit) {
  int64_t size = unit.prefix_tokens - 1;
  for (int64_t part : unit.parts) {
    const TokenRequest& request = document.requests[part];
    size = std::min(size, std::ssize(request.tokens) - request.num_scored - 1);
  }
  const std::span<const int32_t> tokens = document.requests[unit.parts.front()].tokens;
  return tokens.first(static_cast<size_t>(std::max<int64_t>(size, 0)));
}

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
    if (static_cast<int64_t>(run.end - run.begin) >= kMinUnits) runs.push_back(run);
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
    if (length >= kMinTrunkTokens) lengths.insert(length);
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

void FindTrunks(std::span<const DocumentRequests> documents, ScorePlan& plan) {
  std::vector<std::span<const int32_t>> starts;
  int64_t fed_tokens = 0;
  for (const ScoreUnit& unit : plan.units) {
    starts.push_back(Shareable(documents[unit.document], unit));
    fed_tokens += unit.fed_tokens;
  }
  std::vector<size_t> order(starts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::lexicographical_compare(starts[a].begin(), starts[a].end(), starts[b].begin(),
                                        starts[b].end());
  });
  std::vector<int64_t> common;
  for (size_t i = 1; i < order.size(); ++i) {
    common.push_back(CommonPrefix(starts[order[i - 1]], starts[order[i]]));
  }
  const std::vector<Run> runs = BestRuns(common);
  if (Saved(runs) * 20 < fed_tokens) return;
  for (const Run& run : runs) {
    const std::span<const int32_t> tokens =
        starts[order[run.begin]].first(static_cast<size_t>(run.shared));
    for (size_t i = run.begin; i < run.end; ++i) {
      ScoreUnit& unit = plan.units[order[i]];
      unit.trunk = std::ssize(plan.trunks);
      unit.fed_tokens -= run.shared;
    }
    plan.trunks.emplace_back(tokens.begin(), tokens.end());
  }
}

}  // namespace breakeven
