// Pure. A study's report as JSON, "format": 1.
//
// Floats read back exactly. What is absent is null or not there; an infinite number is the text "infinity" or "-infinity"
// (float() of Python reads it), one that is not a number null. Bytes that are no UTF-8 become U+FFFD.
#ifndef BREAKEVEN_LAUNCH_REPORT_REPORT_JSON_H_
#define BREAKEVEN_LAUNCH_REPORT_REPORT_JSON_H_

#include <cstddef>
#include <string>

#include "launch/report/study_report.h"

namespace breakeven {

struct JsonLimits {
  size_t max_flips = 0;  // of won and of lost each; 0 = all. The counts stay true
  size_t max_text_bytes =
      0;           // of a prompt, target or prediction; 0 = all. Cut between characters, with "…"
  int indent = 1;  // −1: one line
};
std::string FormatReportJson(const StudyReport& report, const JsonLimits& limits = {});

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_REPORT_JSON_H_
