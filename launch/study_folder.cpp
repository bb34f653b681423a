#include "launch/study_folder.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "launch/print_text.h"
#include "launch/report/report_text.h"
#include "trainer/study/shown_metric.h"
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

// Of another study on the same documents the arms' names may be the same.
void CheckSources(const StudyFile& study, const std::string& set, const StudyRecords& records,
                  const fs::path& path) {
  for (const StudyFileSource& source : study.sources) {
    if (source.set != set) continue;
    for (const RecordArm& arm : records.arms) {
      if (arm.arm != source.arm) continue;
      const auto check = [&](const char* key, const std::string& found,
                             const std::string& expected) {
        if (found == expected) return;
        throw Error(ErrorKind::kBadData, path.string() + ": arm '" + arm.arm + "' has " + key +
                                             " " + found + " where study.json has " + expected +
                                             ": these are another study's records; put back "
                                             "this one's, or run the study again");
      };
      check("model_hash", arm.model_hash, source.model_hash);
      check("template_hash", arm.template_hash, source.template_hash);
    }
  }
}

StudyInput InputOf(const StudyFile& study, const fs::path& run) {
  StudyInput input;
  const fs::path records = run / "eval" / "records.jsonl";
  input.test = ReadRecords(records, "test");
  CheckSources(study, "test", input.test, records);
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
    CheckSources(study, "regression", set.records, path);
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
  return std::to_string(cell.num_examples) + " examples, seed " + std::to_string(cell.seed) +
         ", rate " + Print("%g", cell.learning_rate);
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

// By the time of their opening.
std::vector<TestLook> ReadLooks(const StudyFile& study, const fs::path& run) {
  std::vector<Json> entries;
  ForLines(run / "eval" / "ledger.jsonl", [&](const Json& line) {
    if (line.value("test_hash", "") == study.test_hash) entries.push_back(line);
  });
  std::stable_sort(entries.begin(), entries.end(), [](const Json& a, const Json& b) {
    return a.value("opened", "") < b.value("opened", "");
  });
  std::vector<TestLook> looks;
  std::map<std::string, std::string> seen;  // hash by arm, of the newest look
  for (const Json& line : entries) {
    TestLook look;
    look.time = line.value("opened", "");
    for (const Json& arm : line.value("arms", Json::array())) {
      const std::string name = arm.value("model", "") + "/" + arm.value("variant", "");
      const std::string hash = arm.value("hash", "");
      const auto [before, is_new] = seen.try_emplace(name, hash);
      if (!is_new && before->second != hash) look.changed.push_back(name);
      before->second = hash;
      look.arms.push_back(name);
    }
    looks.push_back(std::move(look));
  }
  return looks;
}

// Of the documents that test holds; a study of an earlier program has none.
std::vector<DocumentText> ReadPrompts(const fs::path& run) {
  std::vector<DocumentText> documents;
  const fs::path path = run / "eval" / "prompts.jsonl";
  if (!fs::exists(path)) return documents;
  ForLines(path, [&](const Json& line) {
    if (!line.contains("doc_id")) return;
    documents.push_back({line["doc_id"].dump(), line.value("prompt", "")});
  });
  return documents;
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
    const MetricValue dev = ShownValue(study.metric, {v.dev_score, v.standard_error});
    report.variants.push_back({v.name, v.num_shots, dev.value, dev.standard_error, v.num_documents,
                               v.prompt_tokens, v.chosen});
  }
  for (const StudyFileCell& cell : study.cells) report.training.push_back(ReadCurve(cell, run));
  report.looks = ReadLooks(study, run);
  report.documents = ReadPrompts(run);
  for (const StudyFact& fact : study.facts) {
    report.provenance.push_back({fact.group, fact.name, fact.value});
  }
  return report;
}

std::string FormatStudyText(const StudyReport& report) {
  const ScoreFormat format = ScoreFormatOf(report);
  std::string text = HeadlineSentence(report) + "\n";
  for (const std::string& detail : HeadlineDetails(report)) text += detail + "\n";
  text += "\n| arm | " + ShownName(report.findings.metric) +
          " | against the best prompt | verdict |\n|---|---|---|---|\n";
  for (size_t i = 0; i < report.findings.arms.size(); ++i) {
    const ArmFinding& arm = report.findings.arms[i];
    text += "| " + arm.arm.name + (i == report.input.candidate ? " (dev's choice)" : "") + " | " +
            format.Score(arm.score.score) + " (" + format.Range(arm.score.interval) + ") | ";
    if (arm.against_baseline.has_value()) {
      const Comparison& against = *arm.against_baseline;
      text += format.Difference(against.difference) + " (" +
              format.DifferenceRange(against.deciding.interval) + ") | " +
              std::string(VerdictName(against.verdict)) + " |\n";
    } else {
      text += "– | the prompt to beat |\n";
    }
  }
  text += "\n";
  for (const std::string& caution : report.findings.cautions) text += "caution: " + caution + "\n";
  return text;
}

}  // namespace breakeven
