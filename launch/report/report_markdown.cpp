// Pure.
#include "launch/print_text.h"
#include "launch/report/cost_markdown.h"
#include "launch/report/markdown_text.h"
#include "launch/report/report_page.h"
#include "launch/report/report_text.h"
#include "trainer/study/shown_metric.h"

namespace breakeven {
namespace {

std::string PValue(double p) { return p < 1e-4 ? "< 0.0001" : Print("%.2g", p); }

std::string Count(size_t count) { return CountText(static_cast<double>(count), ""); }

std::string Verdicts(const StudyReport& report, const ScoreFormat& format) {
  std::string text = "| arm | " + Plain(ShownName(report.findings.metric)) +
                     " | interval | against the best prompt | p | verdict | could have shown | "
                     "would settle it |\n|---|--:|---|---|--:|---|--:|--:|\n";
  for (size_t i = 0; i < report.findings.arms.size(); ++i) {
    const ArmFinding& arm = report.findings.arms[i];
    const bool candidate = i == report.input.candidate;
    text += "| " + Plain(arm.arm.name) + (candidate ? " **(chosen on dev)**" : "") + " | " +
            format.Score(arm.score.score) + " | " + format.Range(arm.score.interval) + " | ";
    if (arm.against_baseline.has_value()) {
      const Comparison& c = *arm.against_baseline;
      text += format.Difference(c.difference) + ", " + format.DifferenceRange(c.deciding.interval) +
              " | " + PValue(c.adjusted_p_value) + " | " + std::string(VerdictName(c.verdict)) +
              " | " + format.Effect(c.minimum_detectable_effect) + " | " + SettleText(c) + " |\n";
    } else {
      text += "| | the prompt to beat | | |\n";
    }
  }
  return text + "\n";
}

// How each verdict was reached.
std::string Methods(const StudyReport& report) {
  std::string text =
      "How each verdict was reached; p alone is before Holm's correction:\n\n"
      "| arm | documents that differ | won | lost | McNemar's exact p | p alone | interval by |\n"
      "|---|--:|--:|--:|--:|--:|---|\n";
  for (const ArmFinding& arm : report.findings.arms) {
    if (!arm.against_baseline.has_value()) continue;
    const Comparison& c = *arm.against_baseline;
    text += "| " + Plain(arm.arm.name) + " | " + Count(static_cast<size_t>(c.num_differing)) +
            " | " + (c.counts ? Count(static_cast<size_t>(c.counts->won)) : "") + " | " +
            (c.counts ? Count(static_cast<size_t>(c.counts->lost)) : "") + " | " +
            (c.mcnemar ? PValue(c.mcnemar->exact) : "") + " | " + PValue(c.p_value) + " | " +
            std::string(IntervalMethodName(c.deciding.method)) + " |\n";
  }
  return text + "\n";
}

std::string Regression(const StudyReport& report) {
  if (!report.findings.regression.has_value()) return "";
  const Comparison& c = *report.findings.regression;
  const RegressionSet& set = report.input.regression.value();
  const ScoreFormat format = RegressionFormat(c);
  return "## Regression set: " + Plain(set.name) + "\n\n| " + Plain(ShownName(set.metric)) +
         ", tuned | base model | difference | verdict | could have shown | would settle it |\n"
         "|--:|--:|---|---|--:|--:|\n| " +
         format.Score(c.arm_score) + " | " + format.Score(c.baseline_score) + " | " +
         format.Difference(c.difference) + ", " + format.DifferenceRange(c.deciding.interval) +
         " | " + std::string(VerdictName(c.verdict)) + " | " +
         format.Effect(c.minimum_detectable_effect) + " | " + SettleText(c) + " |\n\n";
}

std::string Curves(const StudyReport& report, const ScoreFormat& format) {
  std::string text;
  for (const NamedCurve& named : report.findings.curves) {
    text += "## Learning curve: " + std::string(ArmRoleName(named.role)) +
            "\n\n| examples | score | interval | against the best prompt | verdict |\n"
            "|--:|--:|---|---|---|\n";
    for (const CurvePoint& point : named.curve.points) {
      const Comparison& c = point.against_baseline;
      text += "| " + CountText(static_cast<double>(point.num_examples), "") + " | " +
              format.Score(point.score.score) + " | " + format.Range(point.score.interval) + " | " +
              format.Difference(c.difference) + " | " + std::string(VerdictName(c.verdict)) +
              " |\n";
    }
    text += "\n" + ExamplesText(named.curve, report.confidence) + "\n\n";
  }
  if (report.findings.equal_data.empty()) return text;
  text +=
      "## The same examples as shots and as training rows\n\n"
      "| examples | tuned | few-shot | difference | verdict |\n|--:|--:|--:|---|---|\n";
  for (const EqualData& equal : report.findings.equal_data) {
    const Comparison& c = equal.comparison;
    text += "| " + CountText(static_cast<double>(equal.num_examples), "") + " | " +
            format.Score(c.arm_score) + " | " + format.Score(c.baseline_score) + " | " +
            format.Difference(c.difference) + ", " + format.DifferenceRange(c.deciding.interval) +
            " | " + std::string(VerdictName(c.verdict)) + " |\n";
  }
  return text + "\n";
}

std::string FlipList(const char* title, const std::vector<Flip>& flips) {
  constexpr size_t kShown = 10;
  std::string text = std::string("**") + title + ": " + Count(flips.size()) + "**" +
                     (flips.size() > kShown ? ", the first ten" : "") + "\n\n";
  if (flips.empty()) return text;
  text += "| document | target | tuned said | prompt said |\n|---|---|---|---|\n";
  for (size_t i = 0; i < std::min(kShown, flips.size()); ++i) {
    text += "| " + Plain(flips[i].id) + " | " + Plain(flips[i].target) + " | " +
            Plain(flips[i].arm_prediction) + " | " + Plain(flips[i].baseline_prediction) + " |\n";
  }
  return text + "\n";
}

std::string Evidence(const StudyReport& report, const ScoreFormat& format) {
  std::string text = "## Documents that changed\n\n" + FlipList("Won", report.findings.flips.won) +
                     FlipList("Lost", report.findings.flips.lost);
  if (!report.variants.empty()) {
    text +=
        "## Prompts tried on dev\n\n| prompt | shots | score | ± | documents | prompt tokens |\n"
        "|---|--:|--:|--:|--:|--:|\n";
    for (const VariantRow& v : report.variants) {
      text += "| " + Plain(v.name) + (v.chosen ? " **(chosen)**" : "") + " | " +
              CountText(static_cast<double>(v.num_shots), "") + " | " + format.Score(v.dev_score) +
              " | " + format.Score(v.standard_error) + " | " +
              CountText(static_cast<double>(v.num_documents), "") + " | " +
              CountText(v.prompt_tokens, "") + " |\n";
    }
    text += "\n";
  }
  return text;
}

std::string ChangedText(const TestLook& look) {
  std::string names;
  for (const std::string& name : look.changed) names += (names.empty() ? "" : ", ") + Plain(name);
  return names.empty() ? "" : "; **changed since an earlier look:** " + names;
}

std::string Provenance(const StudyReport& report) {
  std::string text = "## Provenance\n\n| | | |\n|---|---|---|\n";
  for (const ReportFact& fact : report.provenance) {
    text +=
        "| " + Plain(fact.group) + " | " + Plain(fact.name) + " | " + Plain(fact.value) + " |\n";
  }
  for (const TestLook& look : report.looks) {
    text += "| look at test | " + Plain(look.time) + " | " + Count(look.arms.size()) + " arms" +
            ChangedText(look) + " |\n";
  }
  return text;
}

}  // namespace

std::string FormatReportMarkdown(const StudyReport& report) {
  const ScoreFormat format = ScoreFormatOf(report);
  std::string text = "# " + Plain(report.title) + "\n\n**" + HeadlineSentence(report) + "**\n\n";
  for (const std::string& detail : HeadlineDetails(report)) text += detail + "\n";
  text += "\nTask " + Plain(report.task) + ", model " + Plain(report.model) + ".\n\n";
  for (const std::string& caution : report.findings.cautions)
    text += "> **Caution.** " + Plain(caution) + "\n>\n";
  text += "\n## Verdict\n\n" + Verdicts(report, format) + Methods(report) + Curves(report, format) +
          Regression(report) + FormatCostMarkdown(report);
  text += "## Six questions\n\n";
  for (const QuestionAnswer& qa : AnswerQuestions(report))
    text += "**" + qa.question + "** " + qa.answer + "\n\n";
  return text + Evidence(report, format) + Provenance(report);
}

}  // namespace breakeven
