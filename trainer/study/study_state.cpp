// Pure.
#include "trainer/study/study_state.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "trainer/study/study_file.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double NumberOf(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

}  // namespace

std::string ArmKey(const std::string& split, const std::string& model, const std::string& variant) {
  return split + "/" + model + "/" + variant;
}

std::string PartFile(const std::string& key) {
  return "eval/parts/" + HashHex(Hash64(key)) + ".jsonl";
}

void ForgetCell(StudyState& state, const std::string& cell) {
  const auto is_of_cell = [&](const auto& entry) {
    return entry.first.find("/" + cell + "/") != std::string::npos;
  };
  state.cells.erase(cell);
  std::erase_if(state.arms, is_of_cell);
  std::erase_if(state.serving, is_of_cell);
}

std::string FormatStudyState(const StudyState& state) {
  Json json = {{"format", 1},
               {"fingerprint", state.fingerprint},
               {"precision", state.precision},
               {"training_precision", state.training_precision},
               {"look", state.look},
               {"num_looks", state.num_looks},
               {"regression_look", state.regression_look},
               {"cells", Json::object()},
               {"rates", state.rates},
               {"arms", Json::object()},
               {"serving", Json::object()}};
  for (const auto& [name, cell] : state.cells) {
    json["cells"][name] = {{"seconds", cell.seconds},
                           {"steps", cell.steps},
                           {"tokens", cell.tokens},
                           {"final_loss", Number(cell.final_loss)},
                           {"validation_loss", Number(cell.validation_loss)},
                           {"checkpoint", cell.checkpoint},
                           {"chosen_step", cell.chosen_step},
                           {"chosen_epoch", cell.chosen_epoch},
                           {"removed", cell.removed}};
  }
  for (const auto& [key, arm] : state.arms) {
    json["arms"][key] = Json::parse(FormatArmState(arm));
  }
  for (const auto& [key, serving] : state.serving)
    json["serving"][key] = Json::parse(FormatServing(serving));
  for (const auto& [key, score] : state.search.scores) json["search"][key] = Number(score);
  json["search_seconds"] = state.search.seconds;
  json["search_tokens"] = state.search.tokens;
  return json.dump(1) + "\n";
}

StudyState ParseStudyState(const std::string& text, const std::string& where) {
  StudyState state;
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != 1) throw Error(ErrorKind::kBadData, where + ": format is not 1");
    state.fingerprint = json.at("fingerprint");
    state.precision = json.value("precision", "float32");  // of older files
    state.training_precision = json.value("training_precision", "");
    state.look = json.at("look");
    state.num_looks = json.at("num_looks");
    state.regression_look = json.value("regression_look", int64_t{0});
    for (const auto& [name, cell] : json.at("cells").items()) {
      state.cells[name] = {cell.at("seconds"),
                           cell.at("steps"),
                           cell.at("tokens"),
                           NumberOf(cell.at("final_loss")),
                           NumberOf(cell.value("validation_loss", Json())),
                           cell.at("checkpoint"),
                           cell.at("removed"),
                           cell.value("chosen_step", int64_t{0}),
                           cell.value("chosen_epoch", int64_t{0})};
    }
    state.rates = json.value("rates", state.rates);  // not in older files
    for (const auto& [key, arm] : json.at("arms").items()) {
      state.arms[key] = ParseArmState(arm.dump(), where);
    }
    if (json.contains("search")) {
      for (const auto& [key, score] : json.at("search").items())
        state.search.scores[key] = NumberOf(score);
    }
    state.search.seconds = json.value("search_seconds", 0.0);
    state.search.tokens = json.value("search_tokens", 0.0);
    for (const auto& [key, serving] : json.at("serving").items()) {
      state.serving[key] = ParseServing(serving.dump(), where);
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadData, where + ": damaged (" + error.what() +
                                         "); move the run folder away and begin anew");
  }
  return state;
}

}  // namespace breakeven
