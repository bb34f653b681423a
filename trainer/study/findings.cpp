// Pure.
#include "trainer/study/findings.h"

#include <algorithm>
#include <map>
#include <utility>

#include "comm/base/error.h"
#include "trainer/statistics/bootstrap.h"
#include "trainer/study/shown_metric.h"

namespace breakeven {
namespace {

constexpr size_t kMinCalibration = 300;  // documents; below, a bin's error is mostly noise

bool IsTuned(ArmRole role) { return role == ArmRole::kTuned || role == ArmRole::kTunedAndPrompt; }

std::vector<ArmFinding> FindArms(const StudyInput& input, const ScoreComparer& comparer,
                                 const Comparison& headline) {
  std::vector<ArmFinding> findings;
  std::vector<std::vector<size_t>> family;
  for (size_t i = 0; i < input.arms.size(); ++i) {
    const StudyArm& arm = input.arms[i];
    ArmFinding finding;
    finding.arm = arm;
    finding.score = comparer.Score(arm.columns);
    for (size_t column : arm.columns) {
      const RecordArm& record = input.test.arms.at(column);
      finding.prompt_tokens += record.mean_prompt_tokens / static_cast<double>(arm.columns.size());
      finding.num_truncated += record.num_truncated;
    }
    if (input.test.documents.size() >= kMinCalibration) {
      finding.calibration = CalibrationOf(input.test.arms[arm.columns.front()]);
    }
    if (i == input.candidate) finding.against_baseline = headline;
    if (i != input.candidate && i != input.baseline) family.push_back(arm.columns);
    findings.push_back(std::move(finding));
  }
  std::vector<Comparison> others =
      comparer.CompareFamily(family, input.arms[input.baseline].columns);
  size_t next = 0;
  for (size_t i = 0; i < findings.size(); ++i) {
    if (i == input.candidate || i == input.baseline) continue;
    findings[i].against_baseline = std::move(others[next++]);
  }
  return findings;
}

std::vector<EqualData> FindEqualData(const StudyInput& input, const ScoreComparer& comparer) {
  std::vector<EqualData> pairs;
  for (size_t t = 0; t < input.arms.size(); ++t) {
    for (size_t f = 0; f < input.arms.size(); ++f) {
      if (input.arms[t].role != ArmRole::kTuned || input.arms[f].role != ArmRole::kFewShot ||
          input.arms[t].num_examples != input.arms[f].num_examples) {
        continue;
      }
      pairs.push_back({input.arms[t].num_examples, t, f,
                       comparer.Compare(input.arms[t].columns, input.arms[f].columns)});
    }
  }
  std::vector<Comparison*> family;
  for (EqualData& pair : pairs) family.push_back(&pair.comparison);
  AdjustFamily(family, comparer.config().confidence);
  return pairs;
}

std::vector<NamedCurve> FindCurves(const StudyInput& input, const ScoreComparer& comparer) {
  std::vector<NamedCurve> curves;
  if (comparer.resampled().num_resamples() == 0) return curves;
  for (ArmRole role : {ArmRole::kTuned, ArmRole::kTunedAndPrompt}) {
    std::map<int64_t, std::vector<size_t>> by_size;
    for (const StudyArm& arm : input.arms) {
      if (arm.role != role) continue;
      std::vector<size_t>& columns = by_size[arm.num_examples];
      columns.insert(columns.end(), arm.columns.begin(), arm.columns.end());
    }
    std::vector<CurveSize> sizes;
    for (auto& [size, columns] : by_size) sizes.push_back({size, std::move(columns)});
    if (sizes.empty()) continue;
    curves.push_back(
        {role, BuildLearningCurve(comparer, sizes, input.arms[input.baseline].columns)});
  }
  return curves;
}

ImprovementPotential PotentialOf(const LearningCurve& curve, const StudyInput& input) {
  ImprovementPotential potential;
  potential.gain_per_doubling = curve.gain_per_doubling;
  potential.gain_interval = curve.gain_interval;
  if (curve.fit.has_value()) {
    potential.asymptote = curve.fit->asymptote;
    potential.asymptote_interval = curve.fit->asymptote_interval;
  }
  if (input.prompt_dev_scores.empty()) return potential;
  std::vector<double> dev_scores;
  for (const double reported : input.prompt_dev_scores) {
    dev_scores.push_back(ShownValue(input.metric, {reported, 0}).value);
  }
  std::sort(dev_scores.begin(), dev_scores.end());
  potential.prompt_worst_dev_score = dev_scores.front();
  potential.prompt_median_dev_score = SortedQuantile(dev_scores, 0.5);
  potential.prompt_best_dev_score = dev_scores.back();
  return potential;
}

SixQuestions Answer(const StudyInput& input, const StudyFindings& findings) {
  SixQuestions questions;
  const StudyArm& candidate = input.arms[input.candidate];
  const StudyArm& baseline = input.arms[input.baseline];
  questions.data.train_examples = candidate.num_examples;
  questions.data.shot_examples = baseline.num_examples;
  questions.data.dev_examples = input.dev_examples;
  questions.model = input.model;
  questions.scope = {findings.headline, findings.regression};
  for (const NamedCurve& curve : findings.curves) {
    if (curve.role != candidate.role) continue;
    questions.data.examples_to_win = curve.curve.examples_to_win;
    questions.potential = PotentialOf(curve.curve, input);
  }
  if (!findings.costs.has_value()) return questions;
  const CostComparison& costs = *findings.costs;
  questions.training = TrainingNeeded{costs.tuned.one_time, costs.prompt.one_time};
  questions.time = TimeCost{costs.tuned.one_time.wall_seconds,
                            costs.prompt.one_time.wall_seconds,
                            input.num_tuned_tried,
                            input.num_prompts_tried,
                            costs.tuned.query.device_seconds.value,
                            costs.prompt.query.device_seconds.value};
  return questions;
}

std::vector<std::string> StudyCautions(const StudyInput& input, const StudyFindings& findings) {
  std::vector<std::string> cautions = findings.headline.cautions;
  if (IsTuned(input.arms[input.candidate].role) &&
      input.arms[input.candidate].columns.size() == 1) {
    cautions.push_back(
        "One training seed: the verdict is about this checkpoint, not about the recipe; another "
        "seed may do better or worse.");
  }
  for (const ArmFinding& arm : findings.arms) {
    if (arm.num_truncated == 0) continue;
    cautions.push_back(arm.arm.name + ": " + std::to_string(arm.num_truncated) +
                       " prompts did not fit the model's context and were cut on the left.");
  }
  return cautions;
}

}  // namespace

std::string_view ArmRoleName(ArmRole role) {
  switch (role) {
    case ArmRole::kZeroShot:
      return "zero-shot";
    case ArmRole::kPrompt:
      return "prompt";
    case ArmRole::kFewShot:
      return "few-shot";
    case ArmRole::kTuned:
      return "fine-tuned";
    default:
      return "fine-tuned, best prompt";
  }
}

StudyFindings Conclude(const StudyInput& input, const VerdictConfig& config,
                       const CostConfig& prices) {
  BE_CHECK(input.baseline < input.arms.size() && input.candidate < input.arms.size() &&
               input.baseline != input.candidate,
           "baseline and candidate must be two of the arms");
  const ScoreComparer comparer(TableOf(input.test, input.metric), config);
  const StudyArm& candidate = input.arms[input.candidate];
  const StudyArm& baseline = input.arms[input.baseline];
  StudyFindings findings;
  findings.metric = input.metric;
  findings.headline = comparer.Compare(candidate.columns, baseline.columns);
  findings.arms = FindArms(input, comparer, findings.headline);
  findings.equal_data = FindEqualData(input, comparer);
  findings.curves = FindCurves(input, comparer);
  findings.flips = FindFlips(input.test, comparer.table(), candidate.columns, baseline.columns);
  findings.confusions =
      FindConfusions(input.test, candidate.columns.front(), baseline.columns.front());
  if (input.regression.has_value()) {
    const RegressionSet& set = *input.regression;
    findings.regression =
        ScoreComparer(TableOf(set.records, set.metric), config).Compare(set.tuned, set.base);
  }
  if (input.costs.has_value()) findings.costs = CompareCosts(*input.costs, config, prices);
  findings.questions = Answer(input, findings);
  findings.cautions = StudyCautions(input, findings);
  return findings;
}

}  // namespace breakeven
