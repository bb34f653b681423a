#include "launch/study_folder.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "trainer/study/study_file.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

StudyRecords ReadRecords(const fs::path& path, const std::string& split) {
  RecordReader reader(split);
  reader.ReadFile(path.string());
  return reader.Finish();
}

std::vector<size_t> ColumnsOf(const StudyRecords& records, const std::vector<std::string>& names,
                              const fs::path& path) {
  std::vector<size_t> columns;
  for (const std::string& name : names) {
    const auto found = std::find_if(records.arms.begin(), records.arms.end(),
                                    [&](const RecordArm& arm) { return arm.arm == name; });
    if (found == records.arms.end()) {
      throw Error(ErrorKind::kBadData,
                  path.string() + ": no record of arm '" + name + "', which study.json names");
    }
    columns.push_back(static_cast<size_t>(found - records.arms.begin()));
  }
  return columns;
}

StudyInput InputOf(const StudyFile& study, const fs::path& run) {
  StudyInput input;
  const fs::path records = run / "eval" / "records.jsonl";
  input.test = ReadRecords(records, "test");
  input.metric = study.metric;
  for (const StudyFileArm& arm : study.arms) {
    input.arms.push_back(
        {arm.name, arm.role, arm.num_examples, ColumnsOf(input.test, arm.records, records)});
  }
  input.baseline = static_cast<size_t>(study.baseline);
  input.candidate = static_cast<size_t>(study.candidate);
  if (study.regression.has_value()) {
    const fs::path path = run / "eval" / "regression.jsonl";
    RegressionSet set{study.regression->name,
                      ReadRecords(path, study.regression->split),
                      study.regression->metric,
                      {},
                      {}};
    set.tuned = ColumnsOf(set.records, study.regression->tuned, path);
    set.base = ColumnsOf(set.records, study.regression->base, path);
    input.regression = std::move(set);
  }
  input.costs = study.costs;
  input.model = study.modified;
  input.dev_examples = study.dev_examples;
  input.num_prompts_tried = study.num_prompts_tried;
  input.num_tuned_tried = std::ssize(study.cells);
  for (const StudyFileVariant& variant : study.variants) {
    input.prompt_dev_scores.push_back(variant.dev_score);
  }
  return input;
}

std::string CellTitle(const StudyFileCell& cell) {
  char rate[32];
  std::snprintf(rate, sizeof(rate), "%g", cell.learning_rate);
  return std::to_string(cell.num_examples) + " examples, seed " + std::to_string(cell.seed) +
         ", rate " + rate;
}

// Calls `each` with the objects of a file of lines; a torn last line is left out.
template <typename Each>
void ForLines(const fs::path& path, const Each& each) {
  std::istringstream lines(ReadFile(path.string()));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object()) each(json);
  }
}

TrainingCurve ReadCurve(const StudyFileCell& cell, const fs::path& run) {
  TrainingCurve curve;
  curve.cell = CellTitle(cell);
  const fs::path path = run / "cells" / cell.name / "metrics.jsonl";
  ForLines(path, [&](const Json& line) {
    if (!line.contains("loss") || !line["loss"].is_number() || !line.contains("step")) return;
    const bool validation = line.value("event", "") == "validation";
    if (!validation && line.value("event", "") != "step") return;
    (validation ? curve.validation_steps : curve.steps).push_back(line["step"]);
    (validation ? curve.validation_losses : curve.losses).push_back(line["loss"]);
  });
  return curve;
}

std::vector<TestLook> ReadLooks(const StudyFile& study, const fs::path& run) {
  std::vector<TestLook> looks;
  std::string first;
  ForLines(run / "eval" / "ledger.jsonl", [&](const Json& line) {
    if (line.value("test_hash", "") != study.test_hash) return;
    TestLook look;
    look.time = line.value("opened", "");
    for (const Json& arm : line.value("arms", Json::array())) {
      look.arms.push_back(arm.value("model", "") + "/" + arm.value("variant", ""));
    }
    const std::string hash = line.value("arms_hash", "");
    look.changed_since = !looks.empty() && hash != first;
    if (looks.empty()) first = hash;
    looks.push_back(std::move(look));
  });
  return looks;
}

std::string Points(double value, bool sign) {
  char text[32];
  std::snprintf(text, sizeof(text), sign ? "%+.3f" : "%.3f", value);
  return text;
}

std::string IntervalText(const Interval& interval, bool sign) {
  return "[" + Points(interval.low, sign) + ", " + Points(interval.high, sign) + "]";
}

std::string Headline(const StudyReport& report) {
  const Comparison& headline = report.findings.headline;
  const std::string& tuned = report.input.arms[report.input.candidate].name;
  const std::string& prompt = report.input.arms[report.input.baseline].name;
  std::string text = tuned + " is " + std::string(VerdictName(headline.verdict));
  if (headline.verdict == Verdict::kCannotTell)
    text = "cannot tell whether " + tuned + " is better";
  return text + " than " + prompt + ": " + report.findings.metric + " " +
         Points(headline.difference, true) + " " + IntervalText(headline.deciding.interval, true) +
         " on " + std::to_string(headline.num_documents) + " documents; detectable was " +
         Points(headline.minimum_detectable_effect, false);
}

}  // namespace

StudyReport ReadStudy(const fs::path& run) {
  const fs::path path = run / "study.json";
  if (!fs::exists(path)) {
    throw Error(ErrorKind::kBadData,
                path.string() +
                    ": not there; expected the folder of a finished `breakeven study` "
                    "(an unfinished one goes on by the same command)");
  }
  const StudyFile study = ParseStudyFile(ReadFile(path.string()), path.string());
  StudyReport report;
  report.title = study.title;
  report.task = study.task;
  report.model = study.model;
  report.confidence = study.verdict.confidence;
  report.currency = study.prices.currency;
  report.input = InputOf(study, run);
  report.findings = Conclude(report.input, study.verdict, study.prices);
  report.findings.cautions.insert(report.findings.cautions.end(), study.cautions.begin(),
                                  study.cautions.end());
  for (const StudyFileVariant& v : study.variants) {
    report.variants.push_back({v.name, v.num_shots, v.dev_score, v.standard_error, v.num_documents,
                               v.prompt_tokens, v.chosen});
  }
  for (const StudyFileCell& cell : study.cells) report.training.push_back(ReadCurve(cell, run));
  report.looks = ReadLooks(study, run);
  for (const StudyFileFact& fact : study.facts) {
    report.provenance.push_back({fact.group, fact.name, fact.value});
  }
  return report;
}

std::string FormatStudyText(const StudyReport& report) {
  std::string text = Headline(report) + "\n\n| arm | " + report.findings.metric +
                     " | against the best prompt | verdict |\n|---|---|---|---|\n";
  for (size_t i = 0; i < report.findings.arms.size(); ++i) {
    const ArmFinding& arm = report.findings.arms[i];
    text += "| " + arm.arm.name + (i == report.input.candidate ? " (dev's choice)" : "") + " | " +
            Points(arm.score.score, false) + " " + IntervalText(arm.score.interval, false) + " | ";
    if (arm.against_baseline.has_value()) {
      const Comparison& against = *arm.against_baseline;
      text += Points(against.difference, true) + " " +
              IntervalText(against.deciding.interval, true) + " | " +
              std::string(VerdictName(against.verdict)) + " |\n";
    } else {
      text += "– | the prompt to beat |\n";
    }
  }
  text += "\n";
  for (const std::string& caution : report.findings.cautions) text += "caution: " + caution + "\n";
  return text;
}

std::string FormatStudyJson(const StudyReport& report) {
  const auto comparison = [](const Comparison& c) {
    return Json{{"difference", c.difference},
                {"low", c.deciding.interval.low},
                {"high", c.deciding.interval.high},
                {"p_value", c.p_value},
                {"adjusted_p_value", c.adjusted_p_value},
                {"minimum_detectable_effect", c.minimum_detectable_effect},
                {"num_documents", c.num_documents},
                {"verdict", VerdictName(c.verdict)}};
  };
  Json json = {{"task", report.task},
               {"metric", report.findings.metric},
               {"headline", Headline(report)},
               {"verdict", VerdictName(report.findings.headline.verdict)},
               {"comparison", comparison(report.findings.headline)},
               {"arms", Json::array()},
               {"cautions", report.findings.cautions}};
  for (size_t i = 0; i < report.findings.arms.size(); ++i) {
    const ArmFinding& arm = report.findings.arms[i];
    Json row = {{"name", arm.arm.name},
                {"role", ArmRoleName(arm.arm.role)},
                {"num_examples", arm.arm.num_examples},
                {"score", arm.score.score},
                {"baseline", i == report.input.baseline},
                {"candidate", i == report.input.candidate}};
    row["against_baseline"] =
        arm.against_baseline.has_value() ? comparison(*arm.against_baseline) : Json(nullptr);
    json["arms"].push_back(std::move(row));
  }
  return json.dump(2) + "\n";
}

}  // namespace breakeven
