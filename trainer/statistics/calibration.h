// Pure. How far a model's probabilities can be believed.
#ifndef BREAKEVEN_TRAINER_STATISTICS_CALIBRATION_H_
#define BREAKEVEN_TRAINER_STATISTICS_CALIBRATION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace breakeven {

// exp(logᵢ) / Σ exp(log): probabilities of choices from their log-likelihoods. −infinity is probability 0; all −infinity:
// equal.
std::vector<double> NormalisedProbabilities(std::span<const double> loglikelihoods);

// Brier's score of one document with several choices: Σ (pₖ − [k = gold])², 0 (best) to 2.
double BrierScore(std::span<const double> probabilities, size_t gold);

struct CalibrationBin {
  double low = 0;  // confidences in (low, high]; the first bin holds 0 as well
  double high = 0;
  int64_t count = 0;
  double mean_confidence = 0;  // 0 where the bin is empty
  double accuracy = 0;
};
struct Calibration {
  double expected_error =
      0;  // Σ count/n · |accuracy − mean confidence| (Naeini et al., 2015); NaN without documents
  std::vector<CalibrationBin> bins;
};
// `confidences[i]` in [0, 1] is the probability of what the model answered, `correct[i]` 0 or 1. Bins of equal width.
Calibration CalibrationError(std::span<const double> confidences, std::span<const double> correct,
                             int64_t num_bins);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_CALIBRATION_H_
