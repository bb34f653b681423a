// Pure.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {
namespace {

std::string Number(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string Cell(const MetricValue& metric) {
  // Accuracies have four digits; a perplexity of hundreds needs fewer.
  const int digits = std::abs(metric.value) < 10 ? 4 : 2;
  return Number(metric.value, digits) + " ± " + Number(metric.standard_error, digits);
}

std::string Row(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += " " + cell + " |";
  return row + "\n";
}

std::set<std::string> MetricNames(const EvalSummary& summary) {
  std::set<std::string> names;
  for (const ArmSummary& arm : summary.arms) {
    for (const auto& [name, value] : arm.metrics) names.insert(name);
  }
  return names;
}

std::string Footnotes(const EvalSummary& summary) {
  std::string notes;
  if (summary.search.has_value()) {
    const PromptSearchSummary& search = *summary.search;
    notes += "\nA search on " + search.model + " tried " + std::to_string(search.num_tried) +
             " prompts with " + std::to_string(search.num_documents) +
             " documents and kept these " + std::to_string(search.kept.size()) +
             ": the best of many is flattered by luck.\n";
  }
  if (!summary.sealed_split.empty()) {
    notes += "\n\\* chosen by " + summary.choose_by +
             " on the split that chooses; only these were scored on '" + summary.sealed_split +
             "'.\n";
  }
  if (!summary.looked_at.empty()) {
    notes += "\nLook " + std::to_string(summary.look) + " of " + std::to_string(summary.num_looks) +
             " at '" + summary.looked_at + "'.";
    if (summary.num_looks > 1) {
      notes +=
          " Other arms have been scored on it before: the more often a test set is looked at, the "
          "more a result on it is chosen by chance.";
    }
    notes += "\n";
  }
  for (const ArmSummary& arm : summary.arms) {
    const std::string name = arm.model + ", " + arm.variant + " (" + arm.split + "): ";
    if (arm.num_truncated > 0) {
      notes += "\n" + name + std::to_string(arm.num_truncated) +
               " prompt(s) were longer than the model sees and lost their start.\n";
    }
    if (arm.num_boundary_merges > 0) {
      notes += "\n" + name + std::to_string(arm.num_boundary_merges) +
               " document(s) have a choice that merges with its prompt into one token; it was "
               "encoded alone.\n";
    }
  }
  return notes;
}

nlohmann::ordered_json ArmJson(const ArmSummary& arm) {
  nlohmann::ordered_json json;
  json["arm"] = arm.model + "/" + arm.variant;
  json["model"] = arm.model;
  json["variant"] = arm.variant;
  json["split"] = arm.split;
  json["n"] = arm.num_documents;
  json["metrics"] = nlohmann::ordered_json::object();
  for (const auto& [name, metric] : arm.metrics) {
    // A standard error that is not defined is null: JSON has no NaN.
    json["metrics"][name] = {{"value", metric.value}, {"standard_error", metric.standard_error}};
  }
  json["seconds"] = arm.seconds;
  json["compute_seconds"] = arm.compute_seconds;
  json["tokens"] = arm.tokens;
  json["mean_prompt_tokens"] = arm.mean_prompt_tokens;
  json["truncated"] = arm.num_truncated;
  json["boundary_merges"] = arm.num_boundary_merges;
  json["chosen"] = arm.chosen;
  json["model_hash"] = arm.model_hash;
  json["template_hash"] = arm.template_hash;
  return json;
}

}  // namespace

std::string FormatTable(const EvalSummary& summary) {
  const std::set<std::string> metrics = MetricNames(summary);
  std::vector<std::string> head = {"model", "variant", "split", "n"};
  head.insert(head.end(), metrics.begin(), metrics.end());
  for (const char* name : {"prompt tokens", "tokens", "seconds"}) head.emplace_back(name);
  std::string table = Row(head) + "|";
  for (size_t i = 0; i < head.size(); ++i) table += i < 3 ? "---|" : "---:|";
  table += "\n";
  for (const ArmSummary& arm : summary.arms) {
    std::vector<std::string> cells = {arm.model, arm.variant + (arm.chosen ? " \\*" : ""),
                                      arm.split, std::to_string(arm.num_documents)};
    for (const std::string& metric : metrics) {
      const auto value = arm.metrics.find(metric);
      cells.push_back(value == arm.metrics.end() ? "" : Cell(value->second));
    }
    cells.push_back(Number(arm.mean_prompt_tokens, 1));
    cells.push_back(std::to_string(arm.tokens));
    cells.push_back(Number(arm.seconds, 1));
    table += Row(cells);
  }
  return table + Footnotes(summary);
}

std::string FormatSummaryJson(const EvalSummary& summary) {
  nlohmann::ordered_json json;
  json["format"] = 1;
  json["task"] = summary.task;
  json["choose_by"] = summary.choose_by;
  if (summary.search.has_value()) {
    json["prompt_search"] = {{"model", summary.search->model},
                             {"num_tried", summary.search->num_tried},
                             {"num_documents", summary.search->num_documents},
                             {"kept", summary.search->kept}};
  }
  if (!summary.sealed_split.empty()) {
    json["sealed_split"] = summary.sealed_split;
  }
  if (!summary.looked_at.empty()) {
    json["looked_at"] = summary.looked_at;
    json["look"] = summary.look;
    json["num_looks"] = summary.num_looks;
  }
  json["records"] = summary.records_path;
  json["arms"] = nlohmann::ordered_json::array();
  for (const ArmSummary& arm : summary.arms) json["arms"].push_back(ArmJson(arm));
  return json.dump(2) + "\n";
}

}  // namespace breakeven
