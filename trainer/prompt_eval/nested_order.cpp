// Pure.
#include "trainer/prompt_eval/nested_order.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "comm/base/random.h"

namespace breakeven {

std::vector<size_t> NestedOrder(std::span<const std::string> labels, uint64_t seed) {
  const auto stream = static_cast<uint64_t>(RandomStream::kSubset);
  std::vector<uint64_t> keys(labels.size());
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = RandomBits(seed, stream, i);
  std::vector<size_t> order(labels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto by_key = [&](size_t a, size_t b) {
    return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
  };
  std::sort(order.begin(), order.end(), by_key);
  std::map<std::string, size_t> taken;
  std::vector<size_t> round(labels.size());  // how many of its class stand before it
  for (const size_t i : order) round[i] = taken[labels[i]]++;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return round[a] < round[b]; });
  return order;
}

}  // namespace breakeven
