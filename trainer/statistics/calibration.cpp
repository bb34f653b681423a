// Pure.
#include "trainer/statistics/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace breakeven {

std::vector<double> NormalisedProbabilities(std::span<const double> loglikelihoods) {
  std::vector<double> probabilities(loglikelihoods.size());
  if (loglikelihoods.empty()) return probabilities;
  const double largest = *std::max_element(loglikelihoods.begin(), loglikelihoods.end());
  double sum = 0;
  for (size_t i = 0; i < loglikelihoods.size(); ++i) {
    probabilities[i] = std::isinf(largest) ? 1 : std::exp(loglikelihoods[i] - largest);
    sum += probabilities[i];
  }
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

double BrierScore(std::span<const double> probabilities, size_t gold) {
  double score = 0;
  for (size_t k = 0; k < probabilities.size(); ++k) {
    score += std::pow(probabilities[k] - (k == gold ? 1 : 0), 2);
  }
  return score;
}

Calibration CalibrationError(std::span<const double> confidences, std::span<const double> correct,
                             int64_t num_bins) {
  Calibration result;
  result.bins.resize(static_cast<size_t>(num_bins));
  const double width = static_cast<double>(num_bins);
  for (size_t i = 0; i < result.bins.size(); ++i) {
    result.bins[i].low = static_cast<double>(i) / width;
    result.bins[i].high = static_cast<double>(i + 1) / width;
  }
  for (size_t i = 0; i < confidences.size(); ++i) {
    const double place = std::clamp(std::ceil(confidences[i] * width) - 1, 0.0, width - 1);
    CalibrationBin& bin = result.bins[static_cast<size_t>(place)];
    ++bin.count;
    bin.mean_confidence += confidences[i];
    bin.accuracy += correct[i];
  }
  const double n = static_cast<double>(confidences.size());
  if (confidences.empty()) result.expected_error = std::numeric_limits<double>::quiet_NaN();
  for (CalibrationBin& bin : result.bins) {
    if (bin.count == 0) continue;
    result.expected_error += std::abs(bin.accuracy - bin.mean_confidence) / n;
    bin.mean_confidence /= static_cast<double>(bin.count);
    bin.accuracy /= static_cast<double>(bin.count);
  }
  return result;
}

}  // namespace breakeven
