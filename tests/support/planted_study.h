// Studies whose truth is known, as records: twelve equally good prompts of which dev chooses one, few-shot, and a recipe
// trained at three sizes with three seeds.
#ifndef BREAKEVEN_TESTS_SUPPORT_PLANTED_STUDY_H_
#define BREAKEVEN_TESTS_SUPPORT_PLANTED_STUDY_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/dice.h"
#include "trainer/statistics/distributions.h"
#include "trainer/study/findings.h"

namespace breakeven {

struct PlantedTruth {
  double prompt = 0.70;  // accuracy of every prompt
  std::array<int64_t, 3> sizes = {50, 200, 800};
  std::array<double, 3> tuned = {0.66, 0.72, 0.78};  // mean over seeds
  double seed_deviation = 0.01;
  int64_t num_test = 500;
  int64_t num_dev = 200;
  int64_t num_prompts = 12;
  int64_t num_seeds = 3;
};

// Latent difficulty: a document is answered when what documents, arms and chance add up to lies below the accuracy's
// quantile. Any two arms share the documents' part.
class PlantedArms {
 public:
  PlantedArms(int64_t num_documents, Dice& dice) : dice_(dice) {
    for (int64_t i = 0; i < num_documents; ++i) difficulty_.push_back(dice.Normal());
  }
  std::vector<double> Own() {
    std::vector<double> own;
    for (size_t i = 0; i < difficulty_.size(); ++i) own.push_back(dice_.Normal());
    return own;
  }
  // `recipe`: what the seeds of one recipe have in common.
  std::vector<double> Hits(double accuracy, const std::vector<double>& recipe) {
    const double quantile = NormalQuantile(std::clamp(accuracy, 0.001, 0.999));
    std::vector<double> hits;
    for (size_t i = 0; i < difficulty_.size(); ++i) {
      const double latent = std::sqrt(0.6) * difficulty_[i] + std::sqrt(0.25) * recipe[i] +
                            std::sqrt(0.15) * dice_.Normal();
      hits.push_back(latent < quantile ? 1 : 0);
    }
    return hits;
  }

 private:
  Dice& dice_;
  std::vector<double> difficulty_;
};

inline double MeanOf(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

inline size_t AddArm(StudyInput& study, const std::string& name, std::vector<double> hits) {
  RecordArm arm;
  arm.arm = arm.model = name;
  arm.predictions.assign(hits.size(), "");
  arm.metrics["acc"] = std::move(hits);
  study.test.arms.push_back(std::move(arm));
  return study.test.arms.size() - 1;
}

inline StudyInput PlantStudy(const PlantedTruth& truth, uint64_t seed) {
  Dice dice(seed);
  StudyInput study;
  study.metric = "acc";
  study.test.split = "test";
  for (int64_t i = 0; i < truth.num_test; ++i) {
    study.test.documents.push_back({std::to_string(i), "", "", "yes"});
  }
  // dev chooses the prompt, by luck among equals.
  PlantedArms dev(truth.num_dev, dice);
  double best = -1;
  for (int64_t p = 0; p < truth.num_prompts; ++p) {
    const double score = MeanOf(dev.Hits(truth.prompt, dev.Own()));
    study.prompt_dev_scores.push_back(score);
    best = std::max(best, score);
  }
  study.num_prompts_tried = truth.num_prompts;
  study.dev_examples = truth.num_dev;

  PlantedArms test(truth.num_test, dice);
  const auto single = [&](const std::string& name, ArmRole role, double accuracy, int64_t shots) {
    const size_t column = AddArm(study, name, test.Hits(accuracy, test.Own()));
    study.arms.push_back({name, role, shots, {column}});
  };
  single("best prompt", ArmRole::kPrompt, truth.prompt, 0);
  single("zero-shot", ArmRole::kZeroShot, truth.prompt - 0.05, 0);
  single("few-shot 50", ArmRole::kFewShot, truth.prompt, 50);
  for (size_t j = 0; j < truth.sizes.size(); ++j) {
    StudyArm arm{"tuned " + std::to_string(truth.sizes[j]), ArmRole::kTuned, truth.sizes[j], {}};
    const std::vector<double> recipe = test.Own();
    for (int64_t s = 0; s < truth.num_seeds; ++s) {
      const double accuracy = truth.tuned[j] + truth.seed_deviation * dice.Normal();
      arm.columns.push_back(
          AddArm(study, arm.name + " seed " + std::to_string(s), test.Hits(accuracy, recipe)));
    }
    study.arms.push_back(std::move(arm));
  }
  study.baseline = 0;
  study.candidate = study.arms.size() - 1;
  return study;
}

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_PLANTED_STUDY_H_
