// Pure. Everything a study concludes, from its sealed records and measurements: plain structs for a report to render.
#ifndef BREAKEVEN_TRAINER_STUDY_FINDINGS_H_
#define BREAKEVEN_TRAINER_STUDY_FINDINGS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/statistics/calibration.h"
#include "trainer/study/comparison.h"
#include "trainer/study/cost.h"
#include "trainer/study/flips.h"
#include "trainer/study/learning_curve.h"
#include "trainer/study/questions.h"
#include "trainer/study/study_records.h"
#include "trainer/study/verdict_config.h"

namespace breakeven {

enum class ArmRole {
  kZeroShot,        // base model, the task's own template
  kPrompt,          // base model, a prompt that dev chose (or one that lost)
  kFewShot,         // base model, num_examples shots
  kTuned,           // trained on num_examples, its own template
  kTunedAndPrompt,  // the same checkpoints under the best prompt
};
std::string_view ArmRoleName(ArmRole role);

// One arm of the study: the replicates of a recipe, or a single column.
struct StudyArm {
  std::string name;
  ArmRole role = ArmRole::kZeroShot;
  int64_t num_examples = 0;     // training rows, or shots
  std::vector<size_t> columns;  // indices into the records' arms
};

struct RegressionSet {
  std::string name;
  StudyRecords records;
  std::string metric;
  std::vector<size_t> tuned;  // columns of the candidate's checkpoints
  std::vector<size_t> base;
};

struct StudyInput {
  StudyRecords test;   // the sealed look
  std::string metric;  // that decides
  std::vector<StudyArm> arms;
  size_t baseline = 0;   // the prompt that dev chose
  size_t candidate = 0;  // the tuned arm that dev chose
  std::optional<RegressionSet> regression;
  std::optional<CostInput> costs;  // candidate against baseline
  std::optional<ModelModified> model;
  int64_t dev_examples = 0;
  int64_t num_prompts_tried = 0;
  int64_t num_tuned_tried = 0;
  std::vector<double> prompt_dev_scores;  // of all variants tried, as eval reports the metric
};

struct ArmFinding {
  StudyArm arm;
  ArmScore score;
  double prompt_tokens = 0;                // mean
  int64_t num_truncated = 0;               // documents, over replicates
  std::optional<Calibration> calibration;  // of the first replicate; from 300 documents on
  std::optional<Comparison>
      against_baseline;  // absent for the baseline. Headline: alone; the others: one family
};

// The same k examples as shots and as training rows.
struct EqualData {
  int64_t num_examples = 0;
  size_t tuned_arm = 0;  // index into StudyInput::arms
  size_t few_shot_arm = 0;
  Comparison comparison;  // tuned − few-shot; one family over all k
};

struct NamedCurve {
  ArmRole role = ArmRole::kTuned;
  LearningCurve curve;
};

// All scores are in the unit of the study's tables, in which more is better: ShownName(metric) says which.
struct StudyFindings {
  std::string metric;
  Comparison headline;  // candidate − baseline: the one test that was planned, not corrected
  std::vector<ArmFinding> arms;  // in StudyInput's order
  std::vector<EqualData> equal_data;
  std::vector<NamedCurve> curves;        // for each tuned role
  FlipTable flips;                       // candidate against baseline
  Confusions confusions;                 // of the candidate's and the baseline's first replicate
  std::optional<Comparison> regression;  // tuned − base
  std::optional<CostComparison> costs;
  SixQuestions questions;
  std::vector<std::string> cautions;  // whole sentences, about the study as a whole
};

// Throws Error(kUsage) for a metric that records lack, Error(kBadData) for timings without queries. Arms' columns and the
// indices must exist: programmer's errors.
StudyFindings Conclude(const StudyInput& input, const VerdictConfig& config,
                       const CostConfig& prices);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_FINDINGS_H_
