// Pure.
#include "trainer/statistics/confusion.h"

#include <cmath>
#include <map>

namespace breakeven {

double BinaryF1(std::span<const int64_t> right, std::span<const int64_t> predicted) {
  double hits = 0;
  double either = 0;  // right plus predicted
  for (size_t i = 0; i < right.size(); ++i) {
    hits += right[i] == 1 && predicted[i] == 1 ? 1 : 0;
    either += (right[i] == 1 ? 1 : 0) + (predicted[i] == 1 ? 1 : 0);
  }
  return either == 0 ? 0 : 2 * hits / either;
}

double MatthewsCorrelation(std::span<const int64_t> right, std::span<const int64_t> predicted) {
  std::map<int64_t, double> num_right;
  std::map<int64_t, double> num_predicted;
  double hits = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    num_right[right[i]] += 1;
    num_predicted[predicted[i]] += 1;
    hits += right[i] == predicted[i] ? 1 : 0;
  }
  const auto n = static_cast<double>(right.size());
  double both = 0;
  double squares_right = 0;
  double squares_predicted = 0;
  for (const auto& [label, count] : num_right) {
    squares_right += count * count;
    const auto found = num_predicted.find(label);
    if (found != num_predicted.end()) both += count * found->second;
  }
  for (const auto& [label, count] : num_predicted) squares_predicted += count * count;
  const double spread = (n * n - squares_right) * (n * n - squares_predicted);
  return spread == 0 ? 0 : (hits * n - both) / std::sqrt(spread);
}

}  // namespace breakeven
