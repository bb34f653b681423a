// Pure.
#include "trainer/prompt_eval/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "comm/base/error.h"

namespace breakeven {
namespace {

// Ids by falling logit, equal ones by id; only those that top_k leaves.
std::vector<int32_t> Candidates(std::span<const float> logits, int64_t top_k) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  if (top_k > 0 && top_k < std::ssize(logits)) {
    std::vector<float> values(logits.begin(), logits.end());
    std::nth_element(values.begin(), values.begin() + (top_k - 1), values.end(), std::greater<>());
    const float smallest = values[static_cast<size_t>(top_k - 1)];
    std::erase_if(ids, [&](int32_t id) { return logits[static_cast<size_t>(id)] < smallest; });
  }
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  return ids;
}

}  // namespace

int32_t ChooseToken(std::span<const float> logits, const SamplingOptions& options, double uniform) {
  BE_CHECK(!logits.empty(), "no logits");
  if (options.temperature <= 0) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  std::vector<int32_t> ids = Candidates(logits, options.top_k);
  const double largest = logits[static_cast<size_t>(ids.front())];
  std::vector<double> weights;
  for (int32_t id : ids) {
    weights.push_back(std::exp((static_cast<double>(logits[static_cast<size_t>(id)]) - largest) /
                               options.temperature));
  }
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  size_t num_kept = 0;
  while (num_kept < weights.size() && (num_kept == 0 || kept < options.top_p * all)) {
    kept += weights[num_kept++];
  }
  double remaining = uniform * kept;
  for (size_t i = 0; i + 1 < num_kept; ++i) {
    if (remaining < weights[i]) return ids[i];
    remaining -= weights[i];
  }
  return ids[num_kept - 1];
}

std::string CutAtStops(std::string_view text, std::span<const std::string> stops) {
  for (const std::string& stop : stops) {
    if (!stop.empty()) text = text.substr(0, text.find(stop));
  }
  return std::string(text);
}

}  // namespace breakeven
