// Pure. What a study's report shows, and the files that it becomes. Nothing is computed here: see trainer/study/findings.h.
#ifndef BREAKEVEN_LAUNCH_REPORT_STUDY_REPORT_H_
#define BREAKEVEN_LAUNCH_REPORT_STUDY_REPORT_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/study/findings.h"

namespace breakeven {

// A prompt variant as dev saw it.
struct VariantRow {
  std::string name;
  int64_t num_shots = 0;
  double dev_score = 0;  // as test's scores: in the unit of ShownName
  double standard_error = 0;
  int64_t num_documents = 0;
  double prompt_tokens = 0;  // mean of a query
  bool chosen = false;
};

// Losses of one training run, in nats per target token.
struct TrainingCurve {
  std::string cell;  // "800 examples, seed 2, rate 1e-4"
  std::vector<int64_t> steps;
  std::vector<double> losses;
  std::vector<int64_t> validation_steps;
  std::vector<double> validation_losses;
};

// One entry of the ledger (trainer/prompt_eval/ledger.h).
struct TestLook {
  std::string time;  // UTC, ISO 8601
  std::vector<std::string> arms;
  std::vector<std::string>
      changed;  // of these, the arms that an earlier look knew as something else
};

struct ReportFact {
  std::string group;  // "data", "model", "software", "machine"
  std::string name;
  std::string value;
};

// One document as the candidate asks it, without shots: for the flips table.
struct DocumentText {
  std::string id;  // as Flip::id
  std::string prompt;
};

struct StudyReport {
  std::string title;
  std::string task;
  std::string model;
  double confidence = 0.95;      // of all intervals
  std::string currency = "USD";  // of all prices
  StudyInput input;
  StudyFindings findings;
  std::vector<VariantRow> variants;
  std::vector<TrainingCurve> training;
  std::vector<TestLook> looks;
  std::vector<ReportFact> provenance;
  std::vector<DocumentText> documents;  // may be empty: then flips show ids only
};

// Writes report.html, report.md and report.json into `run` (an existing folder), each whole or not at all. Texts of the user's data
// and of the model are escaped. Throws Error(kCannotCreate) or Error(kIo) with the file's name.
void WriteStudyReport(const StudyReport& report, const std::filesystem::path& run);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_REPORT_STUDY_REPORT_H_
