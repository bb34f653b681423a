// Pure. Distribution functions, by Boost.Math: the only place that asks it for them.
#ifndef BREAKEVEN_TRAINER_STATISTICS_DISTRIBUTIONS_H_
#define BREAKEVEN_TRAINER_STATISTICS_DISTRIBUTIONS_H_

#include <cstdint>

namespace breakeven {

double NormalCdf(double x);
double NormalQuantile(double p);  // p = 0 and 1: ∓infinity

// `degrees` need not be whole; infinity: the normal distribution; not above 0, or NaN: NaN.
double StudentCdf(double x, double degrees);
double StudentQuantile(double p, double degrees);
// P(|T| ≥ |t|). NaN stays NaN.
double StudentTwoSided(double t, double degrees);

// P(X ≤ successes) and P(X = successes) of `trials` with success probability `p`. No trials: 1.
double BinomialCdf(int64_t successes, int64_t trials, double p);
double BinomialPmf(int64_t successes, int64_t trials, double p);

// The two-sided quantile of a confidence level: 1.96 of 0.95 with infinite degrees.
double CriticalValue(double confidence, double degrees);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STATISTICS_DISTRIBUTIONS_H_
