// Pure.
#include "launch/report/report_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "launch/report/report_text.h"
#include "trainer/study/shown_metric.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

Json Of(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "infinity" : "-infinity";
  return value;
}
Json Of(const Interval& interval) {
  return {{"low", Of(interval.low)}, {"high", Of(interval.high)}};
}
// Before the template: names of an unnamed namespace are not found where it is used.
Json Of(const Comparison& c);
Json Of(const Calibration& calibration);
Json Of(const FittedCurve& fit);
Json Of(const QueryCost& cost);
Json Of(const PayBack& back);
Json Of(const CostComparison& costs);
template <typename T>
Json Of(const std::optional<T>& value) {
  if (!value.has_value()) return nullptr;
  if constexpr (std::is_integral_v<T>) {
    return *value;
  } else {
    return Of(*value);
  }
}

Json Of(const Comparison& c) {
  Json json = {{"verdict", VerdictName(c.verdict)},
               {"arm_score", Of(c.arm_score)},
               {"baseline_score", Of(c.baseline_score)},
               {"difference", Of(c.difference)},
               {"interval", Of(c.deciding.interval)},
               {"method", IntervalMethodName(c.deciding.method)},
               {"simultaneous", Of(c.simultaneous)},
               {"p_value", Of(c.p_value)},
               {"adjusted_p_value", Of(c.adjusted_p_value)},
               {"equivalent", c.equivalent},
               {"minimum_detectable_effect", Of(c.minimum_detectable_effect)},
               {"documents_to_settle", Of(c.documents_to_settle)},
               {"replicates_to_settle", Of(c.replicates_to_settle)},
               {"num_documents", c.num_documents},
               {"num_groups", c.num_groups},
               {"num_replicates", c.num_replicates},
               {"num_baseline_replicates", c.num_baseline_replicates},
               {"num_differing", c.num_differing},
               {"design_effect", Of(c.design_effect)},
               {"cautions", c.cautions},
               {"other_intervals", Json::array()},
               {"counts", nullptr},
               {"mcnemar", nullptr}};
  for (const NamedInterval& other : c.others) {
    json["other_intervals"].push_back(
        {{"method", IntervalMethodName(other.method)}, {"interval", Of(other.interval)}});
  }
  if (c.counts.has_value()) {
    json["counts"] = {{"both", c.counts->both},
                      {"won", c.counts->won},
                      {"lost", c.counts->lost},
                      {"neither", c.counts->neither}};
  }
  if (c.mcnemar.has_value())
    json["mcnemar"] = {{"exact", Of(c.mcnemar->exact)}, {"mid_p", Of(c.mcnemar->mid_p)}};
  return json;
}

Json Of(const ArmScore& score) {
  return {{"score", Of(score.score)},
          {"interval", Of(score.interval)},
          {"documents_interval", Of(score.documents)}};
}

Json Of(const Calibration& calibration) {
  Json bins = Json::array();
  for (const CalibrationBin& bin : calibration.bins) {
    bins.push_back({{"low", bin.low},
                    {"high", bin.high},
                    {"count", bin.count},
                    {"mean_confidence", Of(bin.mean_confidence)},
                    {"accuracy", Of(bin.accuracy)}});
  }
  return {{"expected_error", Of(calibration.expected_error)}, {"bins", bins}};
}

Json Arms(const StudyReport& report) {
  Json arms = Json::array();
  for (size_t i = 0; i < report.findings.arms.size(); ++i) {
    const ArmFinding& finding = report.findings.arms[i];
    Json json = {{"name", finding.arm.name},
                 {"role", ArmRoleName(finding.arm.role)},
                 {"num_examples", finding.arm.num_examples},
                 {"baseline", i == report.input.baseline},
                 {"candidate", i == report.input.candidate}};
    json.update(Of(finding.score));
    json["prompt_tokens"] = Of(finding.prompt_tokens);
    json["num_truncated"] = finding.num_truncated;
    json["calibration"] = Of(finding.calibration);
    json["against_baseline"] = Of(finding.against_baseline);
    for (const size_t column : finding.arm.columns) {
      const RecordArm& arm = report.input.test.arms.at(column);
      json["replicates"].push_back({{"arm", arm.arm},
                                    {"model", arm.model},
                                    {"model_hash", arm.model_hash},
                                    {"variant", arm.variant},
                                    {"template_hash", arm.template_hash},
                                    {"precision", arm.precision},
                                    {"train_size", Of(arm.train_size)},
                                    {"seed", Of(arm.seed)},
                                    {"step", Of(arm.step)}});
    }
    arms.push_back(std::move(json));
  }
  return arms;
}

const char* KindName(ExamplesToWin::Kind kind) {
  switch (kind) {
    case ExamplesToWin::Kind::kWithin:
      return "within";
    case ExamplesToWin::Kind::kFromTheStart:
      return "from the start";
    case ExamplesToWin::Kind::kNotWithinData:
      break;
  }
  return "not within the data";
}

const char* KindName(PayBack::Kind kind) {
  switch (kind) {
    case PayBack::Kind::kAtOnce:
      return "at once";
    case PayBack::Kind::kAfter:
      return "after";
    case PayBack::Kind::kMaybe:
      return "maybe";
    case PayBack::Kind::kNever:
      break;
  }
  return "never";
}

Json Of(const ExamplesToWin& wins) {
  return {{"kind", KindName(wins.kind)},
          {"examples", Of(wins.examples)},
          {"interval", Of(wins.interval)},
          {"probability_within", Of(wins.probability_within)},
          {"measured_coverage", Of(wins.measured_coverage)},
          {"first_better_size", Of(wins.first_better_size)}};
}

Json Of(const FittedCurve& fit) {
  Json predictions = Json::array();
  for (const CurvePrediction& p : fit.predictions) {
    predictions.push_back({{"num_examples", Of(p.num_examples)},
                           {"score", Of(p.score)},
                           {"interval", Of(p.interval)}});
  }
  return {{"floor", Of(fit.law.floor)},
          {"scale", Of(fit.law.scale)},
          {"exponent", Of(fit.law.exponent)},
          {"residual", Of(fit.law.residual)},
          {"degrees_of_freedom", fit.degrees_of_freedom},
          {"asymptote", Of(fit.asymptote)},
          {"asymptote_interval", Of(fit.asymptote_interval)},
          {"examples_to_win", Of(fit.examples_to_win)},
          {"examples_to_win_interval", Of(fit.examples_to_win_interval)},
          {"predictions", predictions}};
}

Json Of(const NamedCurve& named) {
  Json points = Json::array();
  for (const CurvePoint& point : named.curve.points) {
    Json json = {{"num_examples", point.num_examples}};
    json.update(Of(point.score));
    json["against_baseline"] = Of(point.against_baseline);
    points.push_back(std::move(json));
  }
  return {{"role", ArmRoleName(named.role)},
          {"points", points},
          {"baseline", Of(named.curve.baseline)},
          {"examples_to_win", Of(named.curve.examples_to_win)},
          {"gain_per_doubling", Of(named.curve.gain_per_doubling)},
          {"gain_interval", Of(named.curve.gain_interval)},
          {"fit", Of(named.curve.fit)}};
}

Json Of(const QueryCost& cost) {
  return {{"device_seconds", Of(cost.device_seconds.value)},
          {"device_seconds_interval", Of(cost.device_seconds_interval)},
          {"price_per_1000", Of(cost.price_per_1000)},
          {"price_per_1000_interval", Of(cost.price_per_1000_interval)},
          {"watt_hours_per_1000", Of(cost.watt_hours_per_1000)}};
}
Json Of(const WorkCost& work) {
  return {{"device_seconds", Of(work.device_seconds)},
          {"device_hours", Of(work.device_hours)},
          {"wall_seconds", Of(work.wall_seconds)},
          {"num_runs", work.num_runs},
          {"price", Of(work.price)},
          {"watt_hours", Of(work.watt_hours)}};
}
Json Of(const CostSide& side) {
  return {{"one_time", Of(side.one_time)},
          {"query", Of(side.query)},
          {"cached_query", Of(side.cached_query)},
          {"prompt_tokens", Of(side.prompt_tokens)},
          {"shared_prefix_tokens", Of(side.shared_prefix_tokens)},
          {"generated_tokens", Of(side.generated_tokens)}};
}
Json Of(const PayBack& back) {
  return {{"kind", KindName(back.kind)},
          {"queries", Of(back.queries)},
          {"interval", Of(back.interval)},
          {"months", Of(back.months)},
          {"measured_coverage", Of(back.measured_coverage)},
          {"saving_per_query", Of(back.saving_per_query)},
          {"extra_one_time", Of(back.extra_one_time)}};
}
Json Of(const CostComparison& costs) {
  Json curve = Json::array();
  for (const CostCurvePoint& p : costs.curve) {
    curve.push_back({{"queries", Of(p.queries)}, {"prompt", Of(p.prompt)}, {"tuned", Of(p.tuned)}});
  }
  return {{"prompt", Of(costs.prompt)},
          {"tuned", Of(costs.tuned)},
          {"pay_back", Of(costs.pay_back)},
          {"cached_pay_back", Of(costs.cached_pay_back)},
          {"curve", curve}};
}

Json CostsOf(const StudyReport& report) {
  Json json = Of(report.findings.costs);
  if (json.is_null()) return json;
  const CostComparison& costs = *report.findings.costs;
  json["pay_back"]["text"] = PayBackText(costs.pay_back, report.confidence);
  if (costs.cached_pay_back.has_value())
    json["cached_pay_back"]["text"] = PayBackText(*costs.cached_pay_back, report.confidence);
  return json;
}

Json RegressionOf(const StudyReport& report) {
  if (!report.findings.regression.has_value()) return nullptr;
  const Comparison& found = *report.findings.regression;
  const RegressionSet& set = report.input.regression.value();
  Json json = {{"name", set.name},
               {"metric", set.metric},
               {"metric_shown", ShownName(set.metric)},
               {"fraction", RegressionFormat(found).fraction}};
  json.update(Of(found));
  return json;
}

// At most `limit` bytes, whole characters.
std::string Cut(const std::string& text, size_t limit) {
  if (limit == 0 || text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit) + "…";
}

Json Flips(const std::vector<Flip>& flips, const JsonLimits& limits, std::set<std::string>& shown) {
  const size_t count =
      limits.max_flips == 0 ? flips.size() : std::min(flips.size(), limits.max_flips);
  Json json = Json::array();
  for (size_t i = 0; i < count; ++i) {
    const Flip& flip = flips[i];
    shown.insert(flip.id);
    json.push_back({{"id", flip.id},
                    {"group", flip.group},
                    {"target", Cut(flip.target, limits.max_text_bytes)},
                    {"arm_prediction", Cut(flip.arm_prediction, limits.max_text_bytes)},
                    {"baseline_prediction", Cut(flip.baseline_prediction, limits.max_text_bytes)},
                    {"arm_score", Of(flip.arm_score)},
                    {"baseline_score", Of(flip.baseline_score)}});
  }
  return json;
}

Json Study(const StudyReport& report) {
  Json json = {{"variants", Json::array()},
               {"training", Json::array()},
               {"looks", Json::array()},
               {"provenance", Json::array()}};
  for (const VariantRow& v : report.variants) {
    json["variants"].push_back({{"name", v.name},
                                {"num_shots", v.num_shots},
                                {"dev_score", Of(v.dev_score)},
                                {"standard_error", Of(v.standard_error)},
                                {"num_documents", v.num_documents},
                                {"prompt_tokens", Of(v.prompt_tokens)},
                                {"chosen", v.chosen}});
  }
  const auto numbers = [](const std::vector<double>& values) {
    Json list = Json::array();
    for (const double value : values) list.push_back(Of(value));
    return list;
  };
  for (const TrainingCurve& curve : report.training) {
    json["training"].push_back({{"cell", curve.cell},
                                {"steps", curve.steps},
                                {"losses", numbers(curve.losses)},
                                {"validation_steps", curve.validation_steps},
                                {"validation_losses", numbers(curve.validation_losses)}});
  }
  for (const TestLook& look : report.looks) {
    json["looks"].push_back({{"time", look.time}, {"arms", look.arms}, {"changed", look.changed}});
  }
  for (const ReportFact& fact : report.provenance) {
    json["provenance"].push_back(
        {{"group", fact.group}, {"name", fact.name}, {"value", fact.value}});
  }
  return json;
}

}  // namespace

std::string FormatReportJson(const StudyReport& report, const JsonLimits& limits) {
  const StudyFindings& findings = report.findings;
  Json json = {{"format", 1},
               {"title", report.title},
               {"task", report.task},
               {"model", report.model},
               {"metric", findings.metric},
               {"metric_shown", ShownName(findings.metric)},
               {"fraction", ScoreFormatOf(report).fraction},
               {"confidence", Of(report.confidence)},
               {"currency", report.currency},
               {"sentence", HeadlineSentence(report)},
               {"details", HeadlineDetails(report)},
               {"headline", Of(findings.headline)},
               {"arms", Arms(report)},
               {"equal_data", Json::array()},
               {"curves", Json::array()},
               {"regression", RegressionOf(report)},
               {"costs", CostsOf(report)},
               {"questions", Json::array()},
               {"cautions", findings.cautions},
               {"num_prompts_tried", report.input.num_prompts_tried},
               {"num_tuned_tried", report.input.num_tuned_tried},
               {"dev_examples", report.input.dev_examples}};
  for (const EqualData& equal : findings.equal_data) {
    json["equal_data"].push_back({{"num_examples", equal.num_examples},
                                  {"tuned", report.input.arms.at(equal.tuned_arm).name},
                                  {"few_shot", report.input.arms.at(equal.few_shot_arm).name},
                                  {"comparison", Of(equal.comparison)}});
  }
  for (const NamedCurve& curve : findings.curves) {
    json["curves"].push_back(Of(curve));
    json["curves"].back()["examples_to_win"]["text"] = ExamplesText(curve.curve, report.confidence);
  }
  for (const QuestionAnswer& qa : AnswerQuestions(report)) {
    json["questions"].push_back({{"question", qa.question}, {"answer", qa.answer}});
  }
  json.update(Study(report));
  std::set<std::string> shown;
  json["num_won"] = findings.flips.won.size();
  json["num_lost"] = findings.flips.lost.size();
  json["won"] = Flips(findings.flips.won, limits, shown);
  json["lost"] = Flips(findings.flips.lost, limits, shown);
  json["confusion"] = findings.confusions.arm;
  json["confusion_baseline"] = findings.confusions.baseline;
  json["confusion_absent"] = findings.confusions.absent;
  json["prompts"] = Json::object();
  for (const DocumentText& document : report.documents) {
    if (limits.max_flips == 0 || shown.count(document.id) > 0)
      json["prompts"][document.id] = Cut(document.prompt, limits.max_text_bytes);
  }
  return json.dump(limits.indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven
