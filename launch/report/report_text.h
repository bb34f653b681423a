// Pure. The report's sentences and numbers as people read them: shared by the page, the Markdown and the JSON.
#ifndef BREAKEVEN_LAUNCH_REPORT_REPORT_TEXT_H_
#define BREAKEVEN_LAUNCH_REPORT_REPORT_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "launch/report/study_report.h"

namespace breakeven {

// How scores of one study are written: fractions as per cent and points, anything else as it is.
struct ScoreFormat {
  bool fraction = false;
  std::string Score(double value) const;                 // "78.2 %"
  std::string Difference(double value) const;            // "+8.1 points"
  std::string Effect(double value) const;                // "6.1 points"
  std::string Range(Interval interval) const;            // "74.0 to 81.9 %"
  std::string DifferenceRange(Interval interval) const;  // "+4.0 to +12.1 points"
};
// Fractions: every arm's score lies in [0, 1].
ScoreFormat ScoreFormatOf(const StudyReport& report);

ScoreFormat RegressionFormat(const Comparison& regression);

// "1,230 documents", "12 seeds", "no number": with what a true difference of this size would be seen. "" where the verdict is known.
std::string SettleText(const Comparison& comparison);

// "1,234", "12.3", "2.1e+07"; "never" or "not within the data" for an infinite one, as `infinite` says.
std::string CountText(double value, const std::string& infinite);
std::string EstimateText(double value, const std::string& infinite);  // the same, to 2 or 3 digits
std::string SecondsText(double seconds);                              // "3.2 s", "4.1 min", "2.5 h"

// "94 %" or "not measured".
std::string CoverageText(const std::optional<double>& coverage);
// From how many examples on tuning wins, after how many queries it has paid back: whole sentences, each with its interval and the
// coverage that was measured for it.
std::string ExamplesText(const LearningCurve& curve, double confidence);
std::string PayBackText(const PayBack& back, double confidence);

// Who wins, by how much, with its interval; then from how many examples, after how many queries, or what would settle it.
std::string HeadlineSentence(const StudyReport& report);
std::vector<std::string> HeadlineDetails(const StudyReport& report);

struct QuestionAnswer {
  std::string question;
  std::string answer;
};
// The six, in order; what was not measured says so.
std::vector<QuestionAnswer> AnswerQuestions(const StudyReport& report);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_REPORT_TEXT_H_
