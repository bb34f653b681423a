// Pure. The report's sentences and numbers as people read them: shared by the page, the Markdown and the JSON.
#ifndef BREAKEVEN_LAUNCH_REPORT_REPORT_TEXT_H_
#define BREAKEVEN_LAUNCH_REPORT_REPORT_TEXT_H_

#include <string>
#include <vector>

#include "launch/report/study_report.h"

namespace breakeven {

// How scores of one study are written: fractions as per cent and points, anything else as it is.
struct ScoreFormat {
  bool fraction = false;
  std::string Score(double value) const;                 // "78.2 %"
  std::string Difference(double value) const;            // "+8.1 points"
  std::string Range(Interval interval) const;            // "74.0 to 81.9 %"
  std::string DifferenceRange(Interval interval) const;  // "+4.0 to +12.1 points"
};
// Fractions: every arm's score lies in [0, 1].
ScoreFormat ScoreFormatOf(const StudyReport& report);

// "1,234", "12.3", "2.1e+07"; "never" or "not within the data" for an infinite one, as `infinite` says.
std::string CountText(double value, const std::string& infinite);
std::string EstimateText(double value, const std::string& infinite);  // the same, to 2 or 3 digits
std::string SecondsText(double seconds);                              // "3.2 s", "4.1 min", "2.5 h"

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
