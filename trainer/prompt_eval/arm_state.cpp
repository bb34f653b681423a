// Pure.
#include "trainer/prompt_eval/arm_state.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double NumberOf(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

Json JsonOf(const ArmSummary& arm) {
  Json metrics = Json::object();
  for (const auto& [name, metric] : arm.metrics) {
    metrics[name] = {Number(metric.value), Number(metric.standard_error)};
  }
  return {{"model", arm.model},
          {"variant", arm.variant},
          {"split", arm.split},
          {"num_documents", arm.num_documents},
          {"metrics", metrics},
          {"seconds", arm.seconds},
          {"compute_seconds", arm.compute_seconds},
          {"tokens", arm.tokens},
          {"prompt_tokens", arm.mean_prompt_tokens},
          {"truncated", arm.num_truncated},
          {"boundary_merges", arm.num_boundary_merges},
          {"model_hash", arm.model_hash},
          {"template_hash", arm.template_hash}};
}

ArmSummary SummaryOf(const Json& json) {
  ArmSummary arm;
  arm.model = json.at("model");
  arm.variant = json.at("variant");
  arm.split = json.at("split");
  arm.num_documents = json.at("num_documents");
  for (const auto& [name, metric] : json.at("metrics").items()) {
    arm.metrics[name] = {NumberOf(metric.at(0)), NumberOf(metric.at(1))};
  }
  arm.seconds = json.at("seconds");
  arm.compute_seconds = json.at("compute_seconds");
  arm.tokens = json.at("tokens");
  arm.mean_prompt_tokens = json.at("prompt_tokens");
  arm.num_truncated = json.at("truncated");
  arm.num_boundary_merges = json.at("boundary_merges");
  arm.model_hash = json.at("model_hash");
  arm.template_hash = json.at("template_hash");
  return arm;
}

}  // namespace

std::string FormatArmState(const ArmState& arm) {
  const Json json = {
      {"summary", JsonOf(arm.summary)}, {"hash", arm.hash}, {"records_hash", arm.records_hash}};
  return json.dump();
}

ArmState ParseArmState(const std::string& json, const std::string& where) {
  try {
    const Json arm = Json::parse(json);
    return {SummaryOf(arm.at("summary")), arm.at("hash"), arm.at("records_hash")};
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadData, where + ": no state of a scored arm: " + error.what());
  }
}

}  // namespace breakeven
