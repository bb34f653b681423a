// Pure. The six questions that prompting and fine-tuning are compared by, answered with this run's measurements.
#ifndef BREAKEVEN_TRAINER_STUDY_QUESTIONS_H_
#define BREAKEVEN_TRAINER_STUDY_QUESTIONS_H_

#include <cstdint>
#include <optional>

#include "trainer/study/comparison.h"
#include "trainer/study/cost.h"
#include "trainer/study/learning_curve.h"

namespace breakeven {

// 1. Is training needed?
struct TrainingNeeded {
  WorkCost tuned;
  WorkCost prompt;  // the search over prompts
};

// 2. How much data? Labels of dev count on both sides: both chose by them.
struct DataNeeded {
  int64_t train_examples = 0;  // of the tuned arm
  int64_t shot_examples = 0;   // in the prompt
  int64_t dev_examples = 0;
  std::optional<ExamplesToWin> examples_to_win;
  int64_t tuned_labels() const { return train_examples + dev_examples; }
  int64_t prompt_labels() const { return shot_examples + dev_examples; }
};

// 3. Is the model modified?
struct ModelModified {
  int64_t num_parameters = 0;
  int64_t num_parameters_changed = 0;
  double relative_distance = 0;  // ‖tuned − base‖ / ‖base‖
  int64_t checkpoint_bytes = 0;  // to store and to serve beside the base model
};

// 4. What is its scope? What was won on the task, and lost (or won) on the regression set.
struct Scope {
  Comparison task;
  std::optional<Comparison> regression;  // tuned − base
};

// 5. How much could it improve?
struct ImprovementPotential {
  double gain_per_doubling = 0;  // of training examples; NaN: one size
  Interval gain_interval;
  std::optional<double> asymptote;  // of the fitted curve
  std::optional<Interval> asymptote_interval;
  // The room that prompting showed: prompts tried on dev, in the unit of the study's tables.
  double prompt_best_dev_score = 0;
  double prompt_median_dev_score = 0;
  double prompt_worst_dev_score = 0;
};

// 6. What time does it take?
struct TimeCost {
  double tuned_wall_seconds = 0;
  double prompt_wall_seconds = 0;
  int64_t num_tuned_tried = 0;     // configurations: sizes × rates × seeds
  int64_t num_prompts_tried = 0;   // variants
  double tuned_query_seconds = 0;  // device-seconds
  double prompt_query_seconds = 0;
};

struct SixQuestions {
  std::optional<TrainingNeeded> training;  // absent where nothing was timed
  DataNeeded data;
  std::optional<ModelModified> model;
  Scope scope;
  std::optional<ImprovementPotential> potential;  // absent without a curve
  std::optional<TimeCost> time;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_STUDY_QUESTIONS_H_
