// Pure.
#include "trainer/prompt_eval/generation_plan.h"

#include <algorithm>
#include <numeric>

#include "trainer/prompt_eval/shared_starts.h"

namespace breakeven {

BatchPlan PlanGeneration(std::span<const std::vector<int32_t>> prompts,
                         const GenerationLimits& limits, PrefixSharing sharing) {
  BatchPlan plan;
  std::vector<std::span<const int32_t>> starts;
  std::vector<int64_t> own_tokens;  // behind the trunk
  for (const std::vector<int32_t>& prompt : prompts) {
    starts.push_back(std::span(prompt).first(std::max<size_t>(prompt.size(), 1) - 1));
    own_tokens.push_back(std::ssize(prompt));
  }
  std::vector<int64_t> trunk_of(prompts.size(), -1);
  if (sharing == PrefixSharing::kAcrossDocuments) {
    const int64_t fed_tokens = std::accumulate(own_tokens.begin(), own_tokens.end(), int64_t{0});
    for (const SharedStart& shared : FindSharedStarts(starts, fed_tokens)) {
      for (size_t member : shared.members) {
        trunk_of[member] = std::ssize(plan.trunks);
        own_tokens[member] -= shared.num_tokens;
      }
      const std::span<const int32_t> tokens = starts[shared.members.front()];
      plan.trunks.emplace_back(tokens.begin(), tokens.begin() + shared.num_tokens);
    }
  }
  std::vector<int64_t> order(prompts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (trunk_of[a] != trunk_of[b]) return trunk_of[a] < trunk_of[b];
    return own_tokens[a] > own_tokens[b];
  });
  for (int64_t number : order) {
    const int64_t tokens = own_tokens[number];
    const bool fits = !plan.batches.empty() && plan.batches.back().trunk == trunk_of[number] &&
                      std::ssize(plan.batches.back().units) < limits.batch_prompts &&
                      plan.batches.back().fed_tokens + tokens <= limits.batch_tokens;
    if (!fits) {
      // A step costs about as much as reading all weights, however many sequences take part.
      ScoreBatch& batch = plan.batches.emplace_back();
      batch.trunk = trunk_of[number];
      batch.cost = 8.0 * static_cast<double>(limits.max_new_tokens);
    }
    ScoreBatch& batch = plan.batches.back();
    batch.units.push_back(number);
    batch.fed_tokens += tokens;
    batch.cost += static_cast<double>(tokens + limits.max_new_tokens);
  }
  return plan;
}

}  // namespace breakeven
