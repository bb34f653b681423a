// Pure.
#include "trainer/statistics/multiple.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace breakeven {

std::vector<double> HolmAdjusted(std::span<const double> p_values) {
  const auto value = [&](size_t i) { return std::isnan(p_values[i]) ? 1.0 : p_values[i]; };
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return value(a) < value(b); });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double factor = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, factor * value(order[rank])));
    adjusted[order[rank]] = std::isnan(p_values[order[rank]]) ? p_values[order[rank]] : largest;
  }
  return adjusted;
}

}  // namespace breakeven
