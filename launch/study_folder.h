// The folder that a study leaves behind, read back for its report.
#ifndef BREAKEVEN_LAUNCH_STUDY_FOLDER_H_
#define BREAKEVEN_LAUNCH_STUDY_FOLDER_H_

#include <filesystem>
#include <string>

#include "launch/report/study_report.h"

namespace breakeven {

// Everything from files of RUN: study.json, eval/records.jsonl, regression.jsonl, prompts.jsonl and ledger.jsonl,
// cells/*/metrics.jsonl.
// Findings are concluded anew. Error(kBadData) where a file is missing (a study that is not finished has no study.json), is
// of another study, or holds a score that is not a number.
StudyReport ReadStudy(const std::filesystem::path& run);

// For a terminal: the headline, the verdict table, what to be careful about. FormatReportJson is the same as JSON.
std::string FormatStudyText(const StudyReport& report);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_STUDY_FOLDER_H_
