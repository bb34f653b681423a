// Pure.
#include "launch/report/report_page.h"

#include "launch/report/page_parts.h"
#include "launch/report/report_assets.h"
#include "launch/report/report_json.h"
#include "launch/report/report_text.h"

namespace breakeven {
std::string FormatReportPage(const StudyReport& report) {
  return FillPage(
      {report.title, HeadlineSentence(report), ReportScript(),
       FormatReportJson(report, {.max_flips = 5000, .max_text_bytes = 4000, .indent = -1})});
}

}  // namespace breakeven
