// Pure.
#include "launch/report/report_text.h"

#include <algorithm>
#include <cmath>

#include "comm/base/progress.h"
#include "launch/print_text.h"
#include "trainer/study/shown_metric.h"

namespace breakeven {
namespace {

std::string Confidence(const StudyReport& report) {
  return Print("%g", report.confidence * 100) + " % interval ";
}

const std::string& NameOf(const StudyReport& report, size_t arm) {
  return report.findings.arms.at(arm).arm.name;
}

// The candidate's curve.
const LearningCurve* CurveOf(const StudyReport& report) {
  const ArmRole role = report.findings.arms.at(report.input.candidate).arm.role;
  for (const NamedCurve& named : report.findings.curves) {
    if (named.role == role) return &named.curve;
  }
  return nullptr;
}

std::string SettleSentence(const Comparison& c) {
  if (c.documents_to_settle.has_value()) {
    return "About " + EstimateText(static_cast<double>(*c.documents_to_settle), "") +
           " test documents would settle a true difference of this size.";
  }
  if (c.replicates_to_settle.has_value()) {
    return "About " + CountText(static_cast<double>(*c.replicates_to_settle), "") +
           " training seeds would settle a true difference of this size.";
  }
  return "No number of test documents alone would settle a true difference of this size.";
}

std::string ImprovementText(const StudyReport& report, const ScoreFormat& format) {
  const auto& potential = report.findings.questions.potential;
  if (!potential.has_value()) return "Not known: there is no learning curve.";
  std::string text;
  if (std::isfinite(potential->gain_per_doubling)) {
    text = "Each doubling of the training examples brought " +
           format.Difference(potential->gain_per_doubling) + " (" +
           format.DifferenceRange(potential->gain_interval) + ") lately. ";
  }
  if (potential->asymptote.has_value()) {
    text += "The fitted curve, an extrapolation, ends at " + format.Score(*potential->asymptote) +
            (potential->asymptote_interval.has_value()
                 ? " (" + format.Range(*potential->asymptote_interval) + "). "
                 : ". ");
  }
  return text + "Prompts tried on dev reached " + format.Score(potential->prompt_worst_dev_score) +
         " (worst), " + format.Score(potential->prompt_median_dev_score) + " (median), " +
         format.Score(potential->prompt_best_dev_score) + " (best).";
}

std::string TimeText(const SixQuestions& questions) {
  if (!questions.time.has_value()) return "Not measured.";
  const TimeCost& time = *questions.time;
  return "Tuning: " + SecondsText(time.tuned_wall_seconds) + " for " +
         CountText(static_cast<double>(time.num_tuned_tried), "") +
         " trainings; prompts: " + SecondsText(time.prompt_wall_seconds) + " for " +
         CountText(static_cast<double>(time.num_prompts_tried), "") + " tried. A query takes " +
         SecondsText(time.tuned_query_seconds) + " tuned and " +
         SecondsText(time.prompt_query_seconds) + " prompted, on one device.";
}

std::string ModelText(const SixQuestions& questions) {
  if (!questions.model.has_value()) return "Not measured.";
  const ModelModified& model = *questions.model;
  return "Yes, by tuning: " + CountText(static_cast<double>(model.num_parameters_changed), "") +
         " of " + CountText(static_cast<double>(model.num_parameters), "") +
         " parameters changed, by " + Print("%.2g", model.relative_distance * 100) +
         " % of their length; " + Print("%.3g", static_cast<double>(model.checkpoint_bytes) / 1e6) +
         " MB to keep beside the base model. A prompt leaves it as it is.";
}

}  // namespace

std::string ScoreFormat::Score(double value) const {
  if (!std::isfinite(value)) return "unknown";
  return fraction ? Print("%.1f", value * 100) + " %" : Print("%.4g", value);
}
std::string ScoreFormat::Difference(double value) const {
  if (!std::isfinite(value)) return "unknown";
  return fraction ? Print("%+.1f", value * 100) + " points" : Print("%+.4g", value);
}
std::string ScoreFormat::Effect(double value) const {
  const std::string text = Difference(value);
  return text[0] == '+' ? text.substr(1) : text;
}
std::string ScoreFormat::Range(Interval interval) const {
  if (!fraction) return Print("%.4g", interval.low) + " to " + Print("%.4g", interval.high);
  return Print("%.1f", interval.low * 100) + " to " + Print("%.1f", interval.high * 100) + " %";
}
std::string ScoreFormat::DifferenceRange(Interval interval) const {
  if (!fraction) return Print("%+.4g", interval.low) + " to " + Print("%+.4g", interval.high);
  return Print("%+.1f", interval.low * 100) + " to " + Print("%+.1f", interval.high * 100) +
         " points";
}

ScoreFormat ScoreFormatOf(const StudyReport& report) {
  const auto& arms = report.findings.arms;
  return {std::all_of(arms.begin(), arms.end(), [](const ArmFinding& arm) {
    return arm.score.score >= 0 && arm.score.score <= 1;
  })};
}

ScoreFormat RegressionFormat(const Comparison& regression) {
  const auto fraction = [](double score) { return score >= 0 && score <= 1; };
  return {fraction(regression.arm_score) && fraction(regression.baseline_score)};
}

std::string SettleText(const Comparison& c) {
  if (c.verdict != Verdict::kCannotTell) return "";
  const bool by_documents = c.documents_to_settle.has_value();
  const std::optional<int64_t> count =
      by_documents ? c.documents_to_settle : c.replicates_to_settle;
  if (!count.has_value()) return "no number";
  return EstimateText(static_cast<double>(*count), "") + (by_documents ? " documents" : " seeds");
}

std::string CountText(double value, const std::string& infinite) {
  if (std::isnan(value)) return "unknown";
  if (std::isinf(value)) return infinite;
  if (std::abs(value) >= 1e12) return Print("%.2e", value);
  if (std::abs(value) < 100 && value != std::floor(value)) return Print("%.3g", value);
  return FormatCount(std::llrint(value));
}

std::string EstimateText(double value, const std::string& infinite) {
  if (!std::isfinite(value) || value == 0) return CountText(value, infinite);
  if (std::abs(value) < 100) return Print("%.2g", value);
  const double unit = std::pow(10, std::floor(std::log10(std::abs(value))) - 2);
  return CountText(std::round(value / unit) * unit, infinite);
}

std::string SecondsText(double seconds) {
  if (!std::isfinite(seconds)) return "unknown";
  if (seconds < 1) return Print("%.3g", seconds * 1000) + " ms";
  if (seconds < 120) return Print("%.3g", seconds) + " s";
  if (seconds < 7200) return Print("%.3g", seconds / 60) + " min";
  return Print("%.3g", seconds / 3600) + " h";
}

std::string HeadlineSentence(const StudyReport& report) {
  const Comparison& c = report.findings.headline;
  const ScoreFormat format = ScoreFormatOf(report);
  const std::string tuned = NameOf(report, report.input.candidate);
  const std::string prompt = NameOf(report, report.input.baseline);
  const std::string figures = format.Score(c.arm_score) + " against " +
                              format.Score(c.baseline_score) + ", " +
                              format.Difference(c.difference) + " (" + Confidence(report) +
                              format.DifferenceRange(c.deciding.interval) + ").";
  switch (c.verdict) {
    case Verdict::kBetter:
      return "Fine-tuning wins. “" + tuned + "” beats “" + prompt + "”: " + figures;
    case Verdict::kWorse:
      return "The prompt wins. “" + prompt + "” beats “" + tuned +
             "”: " + format.Score(c.baseline_score) + " against " + format.Score(c.arm_score) +
             ", " + format.Difference(-c.difference) + " (" + Confidence(report) +
             format.DifferenceRange({-c.deciding.interval.high, -c.deciding.interval.low}) + ").";
    case Verdict::kCannotTell:
      break;
  }
  if (c.equivalent)
    return "No difference that matters between “" + tuned + "” and “" + prompt + "”: " + figures;
  return "Cannot tell whether “" + tuned + "” beats “" + prompt + "”: " + figures;
}

std::vector<std::string> HeadlineDetails(const StudyReport& report) {
  const Comparison& c = report.findings.headline;
  const ScoreFormat format = ScoreFormatOf(report);
  std::vector<std::string> details;
  const std::string shown = ShownName(report.findings.metric);
  const std::string turned =
      shown == report.findings.metric
          ? ""
          : " (" + report.findings.metric + ", turned round so that more is better)";
  details.push_back("Measured by " + shown + turned + " on " +
                    CountText(static_cast<double>(c.num_documents), "") +
                    " sealed test documents, which could have shown a difference of " +
                    format.Effect(c.minimum_detectable_effect) + ".");
  if (c.verdict == Verdict::kCannotTell) details.push_back(SettleSentence(c));
  if (const LearningCurve* curve = CurveOf(report)) {
    details.push_back(ExamplesText(*curve, report.confidence));
  }
  if (report.findings.costs.has_value()) {
    details.push_back(PayBackText(report.findings.costs->pay_back, report.confidence));
    if (const auto& cached = report.findings.costs->cached_pay_back)
      details.push_back("Served with a prefix cache: " + PayBackText(*cached, report.confidence));
  }
  return details;
}

std::vector<QuestionAnswer> AnswerQuestions(const StudyReport& report) {
  const SixQuestions& q = report.findings.questions;
  const LearningCurve* curve = CurveOf(report);
  const ScoreFormat format = ScoreFormatOf(report);
  std::string training = "Not measured.";
  if (q.training.has_value() && q.time.has_value()) {
    training = "Tuning: " + CountText(static_cast<double>(q.time->num_tuned_tried), "") +
               " trainings and their scores on dev, " +
               SecondsText(q.training->tuned.device_seconds) +
               " of device time. Prompts: none, but a search of " +
               SecondsText(q.training->prompt.device_seconds) + " of device time.";
  }
  std::string scope = "On the task " + format.Difference(q.scope.task.difference) + " (" +
                      std::string(VerdictName(q.scope.task.verdict)) + "). ";
  if (q.scope.regression.has_value() && report.input.regression.has_value()) {
    const Comparison& other = *q.scope.regression;
    const ScoreFormat own = RegressionFormat(other);
    scope += "On the regression set “" + report.input.regression->name + "” " +
             own.Difference(other.difference) + " of " +
             ShownName(report.input.regression->metric) + " (" +
             own.DifferenceRange(other.deciding.interval) + ", " +
             std::string(VerdictName(other.verdict)) + ").";
  } else {
    scope += "What tuning lost elsewhere was not measured: the study has no regression set.";
  }
  const std::string data =
      "Labels: " + CountText(static_cast<double>(q.data.tuned_labels()), "") + " for tuning, " +
      CountText(static_cast<double>(q.data.prompt_labels()), "") + " for the prompt; " +
      CountText(static_cast<double>(q.data.dev_examples), "") +
      " of them, on both sides, to choose by." +
      (curve == nullptr ? "" : " " + ExamplesText(*curve, report.confidence));
  return {{"Is training needed?", training},
          {"How much data is needed?", data},
          {"Is the model modified?", ModelText(q)},
          {"What is its scope?", scope},
          {"How much could it improve?", ImprovementText(report, format)},
          {"What time does it take?", TimeText(q)}};
}

}  // namespace breakeven
