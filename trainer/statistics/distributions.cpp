// Pure.
#include "trainer/statistics/distributions.h"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>

namespace breakeven {
namespace {

// Infinities instead of exceptions.
using Policy = boost::math::policies::policy<
    boost::math::policies::overflow_error<boost::math::policies::errno_on_error>>;
using Normal = boost::math::normal_distribution<double, Policy>;
using Student = boost::math::students_t_distribution<double, Policy>;
using Binomial = boost::math::binomial_distribution<double, Policy>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double NormalCdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double NormalQuantile(double p) {
  if (p <= 0) return -kInfinity;
  if (p >= 1) return kInfinity;
  return boost::math::quantile(Normal(), p);
}

double StudentCdf(double x, double degrees) {
  if (std::isinf(degrees)) return NormalCdf(x);
  if (!(degrees > 0)) return kNaN;
  return boost::math::cdf(Student(degrees), x);
}

double StudentQuantile(double p, double degrees) {
  if (std::isinf(degrees)) return NormalQuantile(p);
  if (!(degrees > 0)) return kNaN;
  if (p <= 0) return -kInfinity;
  if (p >= 1) return kInfinity;
  return boost::math::quantile(Student(degrees), p);
}

double StudentTwoSided(double t, double degrees) {
  if (std::isnan(t)) return t;
  if (std::isinf(t)) return 0;
  return 2 * StudentCdf(-std::abs(t), degrees);
}

double BinomialCdf(int64_t successes, int64_t trials, double p) {
  if (successes >= trials) return 1;
  if (successes < 0) return 0;
  return boost::math::cdf(Binomial(static_cast<double>(trials), p), static_cast<double>(successes));
}

double BinomialPmf(int64_t successes, int64_t trials, double p) {
  if (successes < 0 || successes > trials) return 0;
  return boost::math::pdf(Binomial(static_cast<double>(trials), p), static_cast<double>(successes));
}

double CriticalValue(double confidence, double degrees) {
  return StudentQuantile(0.5 + confidence / 2, degrees);
}

}  // namespace breakeven
