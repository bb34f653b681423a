// Pure.
#include "trainer/prompt_eval/score_plan.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "comm/base/error.h"
#include "trainer/prompt_eval/score_trunks.h"

namespace breakeven {
namespace {

int64_t FedTokens(const TokenRequest& request) { return std::ssize(request.tokens) - 1; }

// Longest prefix of all requests that is fed in each; 0 when they do not even begin alike (left
// truncation can do that).
int64_t SharedPrefix(const std::vector<TokenRequest>& requests) {
  int64_t shared = FedTokens(requests.front());
  for (const TokenRequest& request : requests) {
    shared = std::min(
        {shared, FedTokens(request), CommonPrefix(requests.front().tokens, request.tokens)});
  }
  return shared;
}

void AppendUnits(const DocumentRequests& document, int64_t number, std::vector<ScoreUnit>& units) {
  const std::vector<TokenRequest>& requests = document.requests;
  for (const TokenRequest& request : requests) {
    BE_CHECK(request.num_scored >= 1 && request.num_scored < std::ssize(request.tokens),
             "request of document " + std::to_string(number));
  }
  const int64_t shared = requests.size() > 1 ? SharedPrefix(requests) : 0;
  if (shared == 0) {
    for (int64_t part = 0; part < std::ssize(requests); ++part) {
      const int64_t fed = FedTokens(requests[part]);
      units.push_back(
          {.document = number, .parts = {part}, .prefix_tokens = fed, .fed_tokens = fed});
    }
    return;
  }
  ScoreUnit unit{.document = number,
                 .parts = std::vector<int64_t>(requests.size()),
                 .prefix_tokens = shared,
                 .fed_tokens = shared};
  std::iota(unit.parts.begin(), unit.parts.end(), 0);
  for (const TokenRequest& request : requests) unit.fed_tokens += FedTokens(request) - shared;
  units.push_back(std::move(unit));
}

// Matrix products grow with the fed tokens, attention with the tokens that each of them looks at: 24 ·
// hidden size² and 4 · hidden size · length operations a token and layer, so their ratio is about
// length / (6 · hidden size), here of a model with 768. Only balance depends on it.
double Cost(const ScoreUnit& unit, int64_t trunk_tokens) {
  constexpr double kTokensOfEqualCost = 6 * 768;
  const auto trunk = static_cast<double>(trunk_tokens);
  const auto prefix = static_cast<double>(unit.prefix_tokens - trunk_tokens);
  const double rest = static_cast<double>(unit.fed_tokens) - prefix;
  const double attention = prefix * (trunk + prefix / 2) + rest * (trunk + prefix);
  return prefix + rest + attention / kTokensOfEqualCost;
}

// How many batches a list is cut into that `largest` would leave in fewer than 24, or 0: else a rank
// would have the last one alone. Never by the number of ranks, on which no result may depend: these
// divide evenly among many. Below some hundred tokens a product is slower than the balance is worth.
// Several trunks stay whole: each rank would feed those that it has a batch of.
int64_t BatchesOfShortList(const ScorePlan& plan, int64_t fed_tokens, int64_t largest) {
  constexpr int64_t kFewestTokens = 256;
  if (plan.trunks.size() > 1) return 0;
  for (const int64_t count : {24, 12, 6, 4, 2}) {
    if (fed_tokens >= count * largest) return 0;
    if (fed_tokens >= count * kFewestTokens) return count;
  }
  return 0;
}

}  // namespace

ScorePlan PlanScoring(std::span<const DocumentRequests> documents, int64_t batch_tokens,
                      PrefixSharing sharing) {
  ScorePlan plan;
  for (size_t i = 0; i < documents.size(); ++i) {
    if (!documents[i].requests.empty()) {
      AppendUnits(documents[i], static_cast<int64_t>(i), plan.units);
    }
  }
  if (sharing == PrefixSharing::kAcrossDocuments) FindTrunks(documents, plan);
  std::vector<int64_t> order(plan.units.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const ScoreUnit& left = plan.units[a];
    const ScoreUnit& right = plan.units[b];
    if (left.trunk != right.trunk) return left.trunk < right.trunk;
    return left.fed_tokens > right.fed_tokens;
  });
  int64_t all_tokens = 0, tokens_before = 0;
  for (const ScoreUnit& unit : plan.units) all_tokens += unit.fed_tokens;
  const int64_t num_batches = BatchesOfShortList(plan, all_tokens, batch_tokens);
  for (int64_t number : order) {
    const ScoreUnit& unit = plan.units[number];
    const bool fits =
        !plan.batches.empty() && plan.batches.back().trunk == unit.trunk &&
        plan.batches.back().fed_tokens + unit.fed_tokens <= batch_tokens &&
        (num_batches == 0 || tokens_before * num_batches < std::ssize(plan.batches) * all_tokens);
    tokens_before += unit.fed_tokens;
    if (!fits) plan.batches.emplace_back().trunk = unit.trunk;
    ScoreBatch& batch = plan.batches.back();
    batch.units.push_back(number);
    batch.fed_tokens += unit.fed_tokens;
    batch.cost += Cost(unit, unit.trunk < 0 ? 0 : std::ssize(plan.trunks[unit.trunk]));
  }
  return plan;
}

int64_t FedTokens(const BatchPlan& plan) {
  int64_t tokens = 0;
  for (const ScoreBatch& batch : plan.batches) tokens += batch.fed_tokens;
  for (const ScoreTrunk& trunk : plan.trunks) tokens += std::ssize(trunk);
  return tokens;
}

std::vector<int> DealBatches(std::span<const ScoreBatch> batches, int world_size) {
  std::vector<int64_t> order(batches.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return batches[a].cost > batches[b].cost; });
  std::vector<double> load(world_size, 0.0);
  std::vector<int> rank_of(batches.size());
  for (int64_t number : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += batches[number].cost;
    rank_of[number] = static_cast<int>(least - load.begin());
  }
  return rank_of;
}

}  // namespace breakeven
