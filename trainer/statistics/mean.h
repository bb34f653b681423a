// Pure. Estimates of one system's score from its documents, with their standard errors.
#ifndef BREAKEVEN_TRAINER_STATISTICS_MEAN_H_
#define BREAKEVEN_TRAINER_STATISTICS_MEAN_H_

#include <cstdint>
#include <span>

namespace breakeven {

// `standard_error` is NaN where it is not defined: fewer than two values.
struct Estimate {
  double value = 0;
  double standard_error = 0;
};

// Mean and s/√n with the n−1 variance: lm-evaluation-harness's (lm_eval/api/metrics.py, mean_stderr).
// No values: {NaN, NaN}.
Estimate MeanAndStandardError(std::span<const double> values);

// Σ numerators / Σ denominators, and its standard error by linearisation (the ratio estimator:
// Cochran, Sampling Techniques, 1977, §2.11), documents being the sampling unit: √(n/(n−1) Σ (yᵢ −
// r·xᵢ)²) / Σ xᵢ.
Estimate RatioAndStandardError(std::span<const double> numerators,
                               std::span<const double> denominators);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_MEAN_H_
