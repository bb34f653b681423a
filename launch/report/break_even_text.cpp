// Pure. The two break-even points in words, each interval with the coverage that was measured for it.
#include <cmath>

#include "launch/print_text.h"
#include "launch/report/report_text.h"

namespace breakeven {
namespace {

// " (95 % interval LOW to HIGH; such intervals held in 94 % of …)".
std::string IntervalText(double confidence, const std::string& range,
                         const std::optional<double>& coverage, const char* simulated) {
  return " (" + Print("%g", confidence * 100) + " % interval " + range + "; " +
         (coverage.has_value()
              ? "such intervals held in " + CoverageText(coverage) + " of " + simulated
              : "how often such intervals hold was " + CoverageText(coverage)) +
         ")";
}

}  // namespace

std::string CoverageText(const std::optional<double>& coverage) {
  return coverage.has_value() ? Print("%.3g", *coverage * 100) + " %" : "not measured";
}

std::string ExamplesText(const LearningCurve& curve, double confidence) {
  const ExamplesToWin& wins = curve.examples_to_win;
  const bool or_fewer = wins.interval.low <= static_cast<double>(curve.points.front().num_examples);
  const std::string interval =
      IntervalText(confidence,
                   EstimateText(wins.interval.low, "not within the data") +
                       (or_fewer ? " or fewer to " : " to ") +
                       EstimateText(wins.interval.high, "not within the data"),
                   wins.measured_coverage, "studies simulated from these records");
  switch (wins.kind) {
    case ExamplesToWin::Kind::kWithin:
      return "Fine-tuning overtakes the best prompt from about " + EstimateText(wins.examples, "") +
             " training examples on" + interval + ".";
    case ExamplesToWin::Kind::kFromTheStart:
      return "Fine-tuning is ahead already at the smallest size tried, " +
             EstimateText(wins.examples, "") + " training examples" + interval + ".";
    case ExamplesToWin::Kind::kNotWithinData:
      break;
  }
  return "Up to the largest size tried, fine-tuning does not overtake the best prompt" +
         (std::isfinite(wins.interval.low) ? interval : "") + ".";
}

std::string PayBackText(const PayBack& back, double confidence) {
  const std::string interval = IntervalText(
      confidence,
      EstimateText(back.interval.low, "never") + " to " + EstimateText(back.interval.high, "never"),
      back.measured_coverage, "timings simulated from these");
  const std::string months =
      back.months.has_value() && std::isfinite(*back.months)
          ? ", " + Print("%.2g", *back.months) + " months at the expected traffic"
          : "";
  switch (back.kind) {
    case PayBack::Kind::kAtOnce:
      return "Training pays from the first query on: it cost no more than the search for a prompt.";
    case PayBack::Kind::kAfter:
      return "Training has paid back after about " + EstimateText(back.queries, "never") +
             " queries" + months + interval + ".";
    case PayBack::Kind::kMaybe:
      return "Training may pay back after about " + EstimateText(back.queries, "never") +
             " queries, but a query may as well save nothing" + interval + ".";
    case PayBack::Kind::kNever:
      break;
  }
  return "Training does not pay back by cheaper queries: one to the tuned model costs no less.";
}

}  // namespace breakeven
