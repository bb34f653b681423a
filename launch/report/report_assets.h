// Pure. Files that are embedded in the binary: the page's template, style and script, and the chart library.
#ifndef BREAKEVEN_LAUNCH_REPORT_REPORT_ASSETS_H_
#define BREAKEVEN_LAUNCH_REPORT_REPORT_ASSETS_H_

#include <string_view>

namespace breakeven {

std::string_view ReportTemplate();
std::string_view ReportStyle();
std::string_view ReportScript();
std::string_view ChartLibrary();

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_REPORT_ASSETS_H_
