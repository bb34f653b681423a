// Pure.
#include "launch/cluster_history.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "comm/base/timing.h"

namespace breakeven {
namespace {

constexpr int64_t kTailBytes = 4 << 20;  // some 10,000 steps
constexpr size_t kNewestSteps = 200;
constexpr double kSlack = 30;
constexpr double kLeast = 120;

double NumberOf(const nlohmann::json& event, const char* key) {
  const auto value = event.find(key);
  return value != event.end() && value->is_number() ? value->get<double>() : 0;
}

}  // namespace

RunHistory ReadRunHistory(const std::string& output) {
  RunHistory history;
  std::ifstream file(output + "/metrics.jsonl", std::ios::binary | std::ios::ate);
  if (!file) return history;
  file.seekg(std::max<int64_t>(0, static_cast<int64_t>(file.tellg()) - kTailBytes));
  std::vector<double> steps;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json event = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!event.is_object()) continue;
    const auto word = event.find("event");
    if (word == event.end() || !word->is_string()) continue;
    const auto name = word->get<std::string>();
    history.last_step = std::max(history.last_step, static_cast<int64_t>(NumberOf(event, "step")));
    if (name == "step") steps.push_back(NumberOf(event, "step_seconds"));
    if (name == "checkpoint") {
      history.longest_save_seconds =
          std::max(history.longest_save_seconds, NumberOf(event, "seconds"));
    }
  }
  if (steps.size() > kNewestSteps) steps.erase(steps.begin(), steps.end() - kNewestSteps);
  const Timing timing = SummariseSeconds(std::move(steps), /*discarded=*/0);
  history.step_seconds = timing.median;
  history.longest_step_seconds = timing.max;
  return history;
}

int64_t LeadSeconds(const RunHistory& history) {
  if (history.longest_save_seconds == 0) return static_cast<int64_t>(kLeast);
  const double wanted = 2 * history.longest_save_seconds + history.longest_step_seconds + kSlack;
  return static_cast<int64_t>(std::ceil(std::max(kLeast, wanted)));
}

double SecondsLeft(const RunHistory& history, int64_t total_steps) {
  return history.step_seconds *
         static_cast<double>(std::max<int64_t>(0, total_steps - history.last_step));
}

}  // namespace breakeven
