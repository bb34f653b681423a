// Pure. Score against number of training examples: when does tuning win, and what would more examples bring?
#ifndef BREAKEVEN_TRAINER_STUDY_LEARNING_CURVE_H_
#define BREAKEVEN_TRAINER_STUDY_LEARNING_CURVE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "trainer/statistics/curve_fit.h"
#include "trainer/study/comparison.h"

namespace breakeven {

struct CurveSize {
  int64_t num_examples = 0;     // training rows; 0 = untuned
  std::vector<size_t> columns;  // the replicates
};

struct CurvePoint {
  int64_t num_examples = 0;
  ArmScore score;
  Comparison against_baseline;  // the sizes are one family: Holm's p-values
};

// Where the curve crosses the baseline: non-decreasing fit to the scores, straight between sizes on log(1 + n).
struct ExamplesToWin {
  enum class Kind {
    kWithin,         // between two sizes
    kFromTheStart,   // above the baseline already at the smallest size
    kNotWithinData,  // not up to the largest size
  };
  Kind kind = Kind::kNotWithinData;
  double examples = 0;  // of kWithin; the smallest size of kFromTheStart; infinity
  Interval
      interval;  // an end at the smallest size means "or fewer", an infinite one "not within the data"
  double probability_within = 0;  // share of resamples in which it wins within the data
  std::optional<double>
      measured_coverage;  // of the interval's method, on studies simulated from these records
  std::optional<int64_t> first_better_size;  // smallest size whose verdict is better
};

struct CurvePrediction {
  double num_examples = 0;
  double score = 0;
  Interval interval;  // of the mean, from resampled fits
};

// best score − score(n) = floor + scale · n^−exponent. The best is 1 for scores in [0, 1], else 0.
struct FittedCurve {
  PowerLaw law;
  int64_t degrees_of_freedom = 0;  // sizes − 3: with 0 nothing checks the form
  double asymptote = 0;            // score with endless data
  Interval asymptote_interval;
  std::vector<CurvePrediction> predictions;  // from the smallest size to 4 times the largest
  // Where the fit crosses the baseline when the data do not; nullopt: it never does. An extrapolation.
  std::optional<double> examples_to_win;
  std::optional<Interval> examples_to_win_interval;
};

struct LearningCurve {
  std::vector<CurvePoint> points;
  ArmScore baseline;
  ExamplesToWin examples_to_win;
  double gain_per_doubling =
      0;  // slope over the last three sizes, per doubling of examples; NaN with one size
  Interval gain_interval;
  std::optional<FittedCurve> fit;  // from three tuned sizes on
};

// `sizes` ascending, at least one; two of one size are a programmer's error. Needs the comparer's bootstrap (resamples >
// 0). Documents are drawn by the bootstrap, replicates by Student's t on their means; a size with one replicate has no
// seed part, and its interval is about that checkpoint.
LearningCurve BuildLearningCurve(const ScoreComparer& comparer, std::span<const CurveSize> sizes,
                                 std::span<const size_t> baseline);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_LEARNING_CURVE_H_
