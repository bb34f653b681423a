// Pure. Files that are embedded in the binary: the pages' template, style and scripts, and the chart library.
#ifndef BREAKEVEN_LAUNCH_REPORT_REPORT_ASSETS_H_
#define BREAKEVEN_LAUNCH_REPORT_REPORT_ASSETS_H_

#include <string_view>

namespace breakeven {

std::string_view ReportTemplate();
std::string_view ReportStyle();
std::string_view PageKit();  // what the scripts share
std::string_view ReportScript();
std::string_view ScalingScript();
std::string_view ChartLibrary();

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_REPORT_ASSETS_H_
