// Pure. What asking and training cost, as the section of report.md.
#ifndef BREAKEVEN_LAUNCH_REPORT_COST_MARKDOWN_H_
#define BREAKEVEN_LAUNCH_REPORT_COST_MARKDOWN_H_

#include <string>

#include "launch/report/study_report.h"

namespace breakeven {

// Ends with an empty line; without timings only the prompt tokens of each arm.
std::string FormatCostMarkdown(const StudyReport& report);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_COST_MARKDOWN_H_
