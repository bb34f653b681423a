// Pure.
#include "trainer/study/study_file.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/fields.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

constexpr ArmRole kRoles[] = {ArmRole::kZeroShot, ArmRole::kPrompt, ArmRole::kFewShot,
                              ArmRole::kTuned, ArmRole::kTunedAndPrompt};

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// Both directions of one field list, so that they cannot drift apart.
class Fields {
 public:
  Fields(Json& json, bool reads) : json_(json), reads_(reads) {}

  template <typename T>
  void operator()(const char* name, T& value) {
    if (!reads_) {
      json_[name] = value;
    } else {
      value = json_.at(name).get<T>();
    }
  }
  void operator()(const char* name, double& value) {
    if (!reads_) {
      json_[name] = Number(value);
    } else {
      value = json_.at(name).is_null() ? std::numeric_limits<double>::quiet_NaN()
                                       : json_.at(name).get<double>();
    }
  }
  // A number that files of the same format did not always have: not a number where it is missing.
  void Later(const char* name, double& value) {
    if (reads_ && !json_.contains(name)) {
      value = std::numeric_limits<double>::quiet_NaN();
    } else {
      (*this)(name, value);
    }
  }
  template <typename T, typename Visit>
  void Object(const char* name, T& value, Visit visit) {
    if (!reads_) json_[name] = Json::object();
    Fields inner(json_.at(name), reads_);
    visit(inner, value);
  }
  template <typename T, typename Visit>
  void List(const char* name, std::vector<T>& values, Visit visit) {
    if (!reads_) json_[name] = Json::array();
    Json& list = json_.at(name);
    if (reads_) values.resize(list.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (!reads_) list.push_back(Json::object());
      Fields inner(list.at(i), reads_);
      visit(inner, values[i]);
    }
  }
  template <typename T, typename Visit>
  void Optional(const char* name, std::optional<T>& value, Visit visit) {
    if (reads_ ? json_.at(name).is_null() : !value.has_value()) {
      value.reset();
      if (!reads_) json_[name] = nullptr;
      return;
    }
    if (!value.has_value()) value.emplace();
    Object(name, *value, visit);
  }
  bool reads() const { return reads_; }
  bool Has(const char* name) const { return json_.contains(name); }

 private:
  Json& json_;
  const bool reads_;
};

void VisitArm(Fields& f, StudyFileArm& arm) {
  f("name", arm.name);
  std::string role(ArmRoleName(arm.role));
  f("role", role);
  bool known = false;
  for (const ArmRole candidate : kRoles) {
    if (ArmRoleName(candidate) != role) continue;
    arm.role = candidate;
    known = true;
  }
  if (!known) throw Error(ErrorKind::kBadData, "arms: unknown role '" + role + "'");
  f("num_examples", arm.num_examples);
  f("records", arm.records);
}

void VisitSource(Fields& f, StudyFileSource& source) {
  f("set", source.set);
  f("arm", source.arm);
  f("model_hash", source.model_hash);
  f("template_hash", source.template_hash);
}

void VisitVariant(Fields& f, StudyFileVariant& variant) {
  f("name", variant.name);
  f("num_shots", variant.num_shots);
  f("dev_score", variant.dev_score);
  f("standard_error", variant.standard_error);
  f("num_documents", variant.num_documents);
  f("prompt_tokens", variant.prompt_tokens);
  f("chosen", variant.chosen);
}

void VisitCell(Fields& f, StudyFileCell& cell) {
  f("name", cell.name);
  f("num_examples", cell.num_examples);
  f("learning_rate", cell.learning_rate);
  f("seed", cell.seed);
  f("dev_score", cell.dev_score);
  f.Later("validation_loss", cell.validation_loss);
  f("seconds", cell.seconds);
  f("chosen", cell.chosen);
  f("checkpoint", cell.checkpoint);
  if (f.reads() && !f.Has("chosen_step")) return;
  f("chosen_step", cell.chosen_step);
  f("chosen_epoch", cell.chosen_epoch);
}

void VisitWork(Fields& f, OneTimeWork& work) {
  f("what", work.what);
  f("num_runs", work.num_runs);
  f("device_seconds", work.device_seconds);
  f("wall_seconds", work.wall_seconds);
}

void VisitBatch(Fields& f, TimedBatch& batch) {
  f("num_queries", batch.num_queries);
  f("device_seconds", batch.device_seconds);
}

void VisitServing(Fields& f, ServingMeasurement& serving) {
  f("prompt_tokens", serving.prompt_tokens);
  f("shared_prefix_tokens", serving.shared_prefix_tokens);
  f("generated_tokens", serving.generated_tokens);
  f.List("batches", serving.batches, VisitBatch);
  f.List("cached_batches", serving.cached_batches, VisitBatch);
}

void VisitCosts(Fields& f, CostInput& costs) {
  f.List("prompt_work", costs.prompt_work, VisitWork);
  f.List("tuned_work", costs.tuned_work, VisitWork);
  f.Object("prompt", costs.prompt, VisitServing);
  f.Object("tuned", costs.tuned, VisitServing);
}

void VisitModified(Fields& f, ModelModified& modified) {
  f("num_parameters", modified.num_parameters);
  f("num_parameters_changed", modified.num_parameters_changed);
  f("relative_distance", modified.relative_distance);
  f("checkpoint_bytes", modified.checkpoint_bytes);
}

void VisitRegression(Fields& f, StudyFileRegression& regression) {
  f("name", regression.name);
  f("metric", regression.metric);
  f("split", regression.split);
  f("tuned", regression.tuned);
  f("base", regression.base);
}

void VisitFact(Fields& f, StudyFact& fact) {
  f("group", fact.group);
  f("name", fact.name);
  f("value", fact.value);
}

// The fields that a config names itself, so that none is forgotten here.
class ConfigFields final : public FieldVisitor {
 public:
  explicit ConfigFields(Fields& fields) : fields_(fields) {}

 protected:
  void Scalar(const FieldInfo& info, bool& value) override { One(info, value); }
  void Scalar(const FieldInfo& info, int64_t& value) override { One(info, value); }
  void Scalar(const FieldInfo& info, double& value) override { One(info, value); }
  void Scalar(const FieldInfo& info, std::string& value) override { One(info, value); }
  bool BeginStruct(const FieldInfo& info) override { OnlyScalars(info); }
  void EndStruct(const FieldInfo& info) override { OnlyScalars(info); }
  bool HasValue(const FieldInfo& info, bool) override { OnlyScalars(info); }
  std::optional<size_t> BeginList(const FieldInfo& info, size_t, bool) override {
    OnlyScalars(info);
  }
  void EndList(const FieldInfo& info) override { OnlyScalars(info); }
  std::optional<std::vector<std::string>> BeginMap(const FieldInfo& info,
                                                   const std::vector<std::string>&) override {
    OnlyScalars(info);
  }
  void EndMap(const FieldInfo& info) override { OnlyScalars(info); }

 private:
  template <typename T>
  void One(const FieldInfo& info, T& value) {
    fields_(std::string(info.name).c_str(), value);
  }
  [[noreturn]] static void OnlyScalars(const FieldInfo& info) {
    throw Error(ErrorKind::kInternal,
                std::string(info.name) + ": study.json keeps plain keys only");
  }

  Fields& fields_;
};

void VisitConfig(Fields& f, auto& config) {
  ConfigFields visitor(f);
  config.VisitFields(visitor);
}

void VisitStudy(Fields& f, StudyFile& study) {
  int64_t format = 1;
  f("format", format);
  if (format != 1) {
    throw Error(ErrorKind::kBadData, "format is " + std::to_string(format) + "; expected 1");
  }
  f("title", study.title);
  f("task", study.task);
  f("model", study.model);
  f("metric", study.metric);
  f("test_hash", study.test_hash);
  f.List("arms", study.arms, VisitArm);
  if (!f.reads() || f.Has("sources")) f.List("sources", study.sources, VisitSource);
  f("baseline", study.baseline);
  f("candidate", study.candidate);
  f.List("variants", study.variants, VisitVariant);
  // Studies from before there was a search have tried what they list.
  if (!f.reads() || f.Has("num_prompts_tried")) {
    f("num_prompts_tried", study.num_prompts_tried);
  } else {
    study.num_prompts_tried = std::ssize(study.variants);
  }
  f.List("cells", study.cells, VisitCell);
  f.Optional("regression", study.regression, VisitRegression);
  f.Optional("costs", study.costs, VisitCosts);
  f.Optional("model_modified", study.modified, VisitModified);
  f("dev_examples", study.dev_examples);
  f.List("facts", study.facts, VisitFact);
  f("cautions", study.cautions);
  f.Object("verdict", study.verdict, VisitConfig<VerdictConfig>);
  f.Object("prices", study.prices, VisitConfig<CostConfig>);
}

void CheckIndices(const StudyFile& study) {
  const int64_t arms = std::ssize(study.arms);
  for (const int64_t index : {study.baseline, study.candidate}) {
    if (index < 0 || index >= arms) {
      throw Error(ErrorKind::kBadData, "baseline or candidate is arm " + std::to_string(index) +
                                           " of " + std::to_string(arms));
    }
  }
}

}  // namespace

std::string FormatServing(const ServingMeasurement& serving) {
  ServingMeasurement copy = serving;
  Json json = Json::object();
  Fields fields(json, /*reads=*/false);
  VisitServing(fields, copy);
  return json.dump();
}

ServingMeasurement ParseServing(const std::string& text, const std::string& where) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  ServingMeasurement serving;
  try {
    Fields fields(json, /*reads=*/true);
    VisitServing(fields, serving);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadData, where + ": no serving measurement: " + error.what());
  }
  return serving;
}

std::string FormatStudyFile(const StudyFile& study) {
  StudyFile copy = study;
  Json json = Json::object();
  Fields fields(json, /*reads=*/false);
  VisitStudy(fields, copy);
  return json.dump(1) + "\n";
}

StudyFile ParseStudyFile(const std::string& text, const std::string& where) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw Error(ErrorKind::kBadData, where + ": not a JSON object");
  StudyFile study;
  try {
    Fields fields(json, /*reads=*/true);
    VisitStudy(fields, study);
    CheckIndices(study);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadData, where + ": not a study of ours: " + error.what());
  } catch (const Error& error) {
    throw Error(error.kind(), where + ": " + error.what());
  }
  return study;
}

}  // namespace breakeven
