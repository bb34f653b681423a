// Pure.
#include "trainer/prompt_eval/score_trunks.h"

#include <algorithm>

#include "trainer/prompt_eval/shared_starts.h"

namespace breakeven {
namespace {

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

}  // namespace

void FindTrunks(std::span<const DocumentRequests> documents, ScorePlan& plan) {
  std::vector<std::span<const int32_t>> starts;
  int64_t fed_tokens = 0;
  for (const ScoreUnit& unit : plan.units) {
    starts.push_back(Shareable(documents[unit.document], unit));
    fed_tokens += unit.fed_tokens;
  }
  for (const SharedStart& shared : FindSharedStarts(starts, fed_tokens)) {
    const std::span<const int32_t> tokens =
        starts[shared.members.front()].first(static_cast<size_t>(shared.num_tokens));
    for (size_t member : shared.members) {
      ScoreUnit& unit = plan.units[member];
      unit.trunk = std::ssize(plan.trunks);
      unit.fed_tokens -= shared.num_tokens;
    }
    plan.trunks.emplace_back(tokens.begin(), tokens.end());
  }
}

}  // namespace breakeven
