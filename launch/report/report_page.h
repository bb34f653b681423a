// Pure. The report as a page and as Markdown.
#ifndef BREAKEVEN_LAUNCH_REPORT_REPORT_PAGE_H_
#define BREAKEVEN_LAUNCH_REPORT_REPORT_PAGE_H_

#include <string>

#include "launch/report/study_report.h"

namespace breakeven {

// One self-contained file. It asks the network for nothing, and its Content-Security-Policy forbids it. Holds the first
// 5,000 won and lost documents each, texts cut at 4,000 bytes; report.json has all.
std::string FormatReportPage(const StudyReport& report);
std::string FormatReportMarkdown(const StudyReport& report);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_REPORT_PAGE_H_
