// breakeven report RUN: concludes a study anew from its records and writes its report.
#include "launch/command.h"
#include "launch/report/report_json.h"
#include "launch/study_folder.h"

namespace breakeven {

void RunReportCommand(const CommandOptions& options, World& world) {
  const StudyReport report = ReadStudy(options.path);
  WriteStudyReport(report, options.path);
  PrintResult(world, options.json ? FormatReportJson(report) : FormatStudyText(report));
}

}  // namespace breakeven
