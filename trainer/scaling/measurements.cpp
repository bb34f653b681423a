// Pure.
#include "trainer/scaling/measurements.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/timing.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

// What goes wrong inside is of the file's making.
template <typename Read>
auto Reading(const std::string& where, const Read& read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadData, where + ": not what a bench writes (" + error.what() +
                                         "). Delete the file; its run is then done again");
  }
}

void CheckFormat(const Json& json) {
  if (json.at("format") != 1) throw Json::other_error::create(501, "format is not 1", &json);
}

double MedianOf(const Json& phases, const char* name) {
  return phases.at(name).at("seconds_median").get<double>();
}

// Scores are compared at equal tokens: those of the last checkpoint, not of the best one, of the base or of another model.
// Names of checkpoints end with their step, with leading zeros.
class ScoreReader {
 public:
  void Read(const Json& event) {
    const std::string model = event.value("model", "");
    if (!model.starts_with(kTuned)) return;
    const auto later = std::pair(model.size(), model) <=> std::pair(last_.size(), last_);
    if (later < 0) return;
    if (later > 0) scores_.clear();
    last_ = model;
    const std::string name = event.value("task", "") + " " + event.value("variant", "") + " " +
                             event.value("split", "") + " ";
    for (const auto& [field, value] : event.items()) {
      // What has a standard error is a metric.
      if (event.contains(field + "_standard_error") && value.is_number())
        scores_[name + field] = value.get<double>();
    }
  }
  std::map<std::string, double> Take() { return std::move(scores_); }

 private:
  static constexpr std::string_view kTuned = "tuned@";
  std::string last_;
  std::map<std::string, double> scores_;
};

}  // namespace

StepMeasurement ParseStepMeasurement(const std::string& text, const std::string& where) {
  return Reading(where, [&] {
    const Json json = Json::parse(text);
    CheckFormat(json);
    const Json& phases = json.at("phases");
    const auto steps = phases.at("step").at("repeats").get<double>();
    StepMeasurement m;
    m.world_size = json.at("world_size");
    m.num_nodes = json.at("num_nodes");
    m.threads = json.at("threads_per_rank");
    m.cpu = json.at("cpu");
    m.gpu = json.value("gpu", "");
    m.cpus_per_node = json.value("cpus_per_node", int64_t{0});
    m.cpus_of_machine = json.value("cpus_of_machine", int64_t{0});
    m.hosts = json.value("hosts", std::vector<std::string>{});
    m.program = json.value("program", "");
    m.time = json.value("time", "");
    m.backend = json.value("backend", "");
    m.tokens = json.at("tokens").get<double>() / steps;
    m.flops = json.at("flops").get<double>() / steps;
    m.tokens_per_second = json.at("tokens_per_second");
    m.mean_step_seconds = m.tokens / m.tokens_per_second;
    m.step_seconds = MedianOf(phases, "step");
    m.input_seconds = MedianOf(phases, "input");
    m.compute_seconds = MedianOf(phases, "forward") + MedianOf(phases, "backward");
    m.update_seconds = MedianOf(phases, "update");
    m.exposed_communication_seconds = json.at("exposed_communication_seconds");
    m.skew_seconds = json.at("skew_seconds");
    m.mfu = json.at("mfu");
    m.peak_memory_bytes = json.at("peak_memory_bytes").get<double>();
    return m;
  });
}

std::vector<CollectiveMeasurement> ParseCollectives(const std::string& text,
                                                    const std::string& where) {
  return Reading(where, [&] {
    const Json json = Json::parse(text);
    CheckFormat(json);
    const int64_t nodes = json.at("num_nodes");
    std::vector<CollectiveMeasurement> all;
    for (const Json& result : json.at("results")) {
      CollectiveMeasurement m;
      m.backend = result.at("backend");
      m.world_size = json.at("world_size");
      m.ranks_per_node = (m.world_size + nodes - 1) / nodes;
      m.bytes = result.at("bytes").get<double>();
      m.seconds = result.at("seconds_median");
      m.bus_bytes_per_second = 1e9 * result.at("busbw_gb_per_second").get<double>();
      m.correct = result.at("correct");
      all.push_back(m);
    }
    return all;
  });
}

TrainMeasurement ParseTraining(const std::string& metrics_jsonl, const std::string& where) {
  return Reading(where, [&] {
    TrainMeasurement m;
    m.validation_loss = NAN;
    std::vector<double> saves;
    ScoreReader scores;
    std::istringstream lines(metrics_jsonl);
    for (std::string line; std::getline(lines, line);) {
      const Json event = Json::parse(line);
      const std::string kind = event.at("event");
      if (kind == "step") {
        m.steps = event.at("step");
      } else if (kind == "end") {
        m.tokens = event.at("tokens").get<double>();
      } else if (kind == "validation") {
        m.validation_loss = event.at("loss").is_number() ? event.at("loss").get<double>() : NAN;
      } else if (kind == "checkpoint") {
        saves.push_back(event.at("seconds"));
      } else if (kind == "prompt_eval") {
        scores.Read(event);
      }
    }
    m.scores = scores.Take();
    m.checkpoint_seconds = saves.empty() ? NAN : SummariseSeconds(saves, 0).median;
    return m;
  });
}

}  // namespace breakeven
