// Pure.
#include "launch/report/study_report.h"

#include "comm/base/durable_file.h"
#include "launch/report/report_json.h"
#include "launch/report/report_page.h"

namespace breakeven {

void WriteStudyReport(const StudyReport& report, const std::filesystem::path& run) {
  WriteFileDurably((run / "report.json").string(), FormatReportJson(report));
  WriteFileDurably((run / "report.md").string(), FormatReportMarkdown(report));
  WriteFileDurably((run / "report.html").string(), FormatReportPage(report));
}

}  // namespace breakeven
