// Pure.
#include "trainer/prompt_eval/records.h"

#include <nlohmann/json.hpp>

#include "comm/base/hash.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

Json OrNull(const std::optional<int64_t>& value) {
  return value.has_value() ? Json(*value) : Json(nullptr);
}

Json Choices(const DocumentRequests& document, const DocumentOutcome& outcome) {
  Json choices = Json::array();
  for (size_t i = 0; i < document.texts.size(); ++i) {
    const ScoredText& text = document.texts[i];
    choices.push_back({{"text", text.text},
                       {"loglikelihood", outcome.texts[i].loglikelihood},
                       {"num_tokens", text.num_tokens},
                       {"num_bytes", text.num_bytes},
                       {"num_chars", text.num_chars},
                       {"is_greedy", outcome.texts[i].is_greedy}});
    if (!outcome.calibrated.empty()) choices.back()["calibrated"] = outcome.calibrated[i];
  }
  return choices;
}

}  // namespace

std::string RecordLine(const ArmIdentity& arm, const DocumentIdentity& identity,
                       const DocumentRequests& document, const DocumentOutcome& outcome) {
  Json record;
  record["format"] = kRecordFormat;
  record["arm"] = arm.model + "/" + arm.variant;
  record["model"] = arm.model;
  record["model_hash"] = arm.model_hash;
  record["task"] = arm.task;
  record["variant"] = arm.variant;
  record["template_hash"] = arm.template_hash;
  record["split"] = arm.split;
  record["doc_id"] = Json::parse(identity.id);
  record["doc_hash"] = HashHex(identity.hash);
  record["group"] = identity.group.empty() ? Json(nullptr) : Json(identity.group);
  record["train_size"] = OrNull(arm.train_size);
  record["seed"] = OrNull(arm.seed);
  record["step"] = OrNull(arm.step);
  record["precision"] = arm.precision;
  // A rolling text stands under "choices" already.
  if (outcome.num_words == 0) {
    record["target"] = outcome.target;
    record["prediction"] = outcome.prediction;
    if (!outcome.generated.empty()) record["generated"] = outcome.generated;
  } else {
    record["target"] = nullptr;
    record["prediction"] = nullptr;
    record["num_words"] = outcome.num_words;
  }
  record["metrics"] = Json::object();
  for (const auto& [name, value] : outcome.metrics) {
    // Hits are 0 and 1, not 0.0 and 1.0.
    record["metrics"][name] =
        value == 0 || value == 1 ? Json(static_cast<int64_t>(value)) : Json(value);
  }
  record["choices"] = Choices(document, outcome);
  record["prompt_tokens"] = document.prompt_tokens;
  record["truncated"] = document.truncated;
  if (document.boundary_merge) record["boundary_merge"] = true;
  // A generation may end within a character: what is not UTF-8 becomes U+FFFD.
  return record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven
