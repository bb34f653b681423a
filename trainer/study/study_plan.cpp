// Pure.
#include "trainer/study/study_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "comm/base/random.h"
#include "trainer/statistics/distributions.h"

namespace breakeven {

StudyCell MakeCell(int64_t size, double rate, int64_t seed) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", rate);
  return {size, rate, seed,
          "n" + std::to_string(size) + "_lr" + text + "_s" + std::to_string(seed)};
}

std::vector<StudyCell> RateCells(const StudyConfig& config, int64_t size) {
  std::vector<StudyCell> cells;
  for (const double rate : config.Rates()) {
    cells.push_back(MakeCell(size, rate, config.seeds.front()));
  }
  return cells;
}

std::vector<StudyCell> RateCells(const StudyConfig& config) {
  std::vector<StudyCell> cells;
  for (const int64_t size : config.sizes) {
    for (const StudyCell& cell : RateCells(config, size)) cells.push_back(cell);
  }
  return cells;
}

std::vector<StudyCell> SeedCells(const StudyConfig& config,
                                 const std::map<int64_t, double>& rates) {
  std::vector<StudyCell> cells;
  for (const StudyCell& cell : ChosenCells(config, rates)) {
    if (cell.seed != config.seeds.front()) cells.push_back(cell);
  }
  return cells;
}

std::vector<StudyCell> ChosenCells(const StudyConfig& config,
                                   const std::map<int64_t, double>& rates) {
  std::vector<StudyCell> cells;
  for (const int64_t size : config.sizes) {
    for (const int64_t seed : config.seeds) cells.push_back(MakeCell(size, rates.at(size), seed));
  }
  return cells;
}

int64_t NumCells(const StudyConfig& config) {
  return std::ssize(config.sizes) * (std::ssize(config.Rates()) + std::ssize(config.seeds) - 1);
}

bool ChoosesEpoch(const RecipeConfig& recipe) {
  return recipe.validate && (recipe.max_steps > 0 || recipe.epochs > 1);
}

TrainConfig CellTraining(const StudyConfig& config, const StudyCell& cell, const std::string& data,
                         const std::string& validation, const std::string& folder) {
  const RecipeConfig& recipe = config.train;
  TrainConfig train;
  train.model.path = config.model;
  train.data = data;
  if (recipe.validate) train.validation.data = validation;
  train.output = folder;
  train.seed = cell.seed;
  train.epochs = recipe.epochs;
  train.max_steps = recipe.max_steps;
  train.batching = recipe.batching;
  train.optimizer = recipe.optimizer;
  train.optimizer.learning_rate = cell.rate;
  train.schedule = recipe.schedule;
  train.checkpoint = {recipe.checkpoint_every_steps, recipe.checkpoint_every_minutes,
                      /*keep_last=*/1, /*keep_best=*/recipe.validate};
  train.precision = recipe.precision;
  train.force_bfloat16 = config.precision.force_bfloat16;
  train.device = recipe.device;
  train.activation_checkpointing = recipe.activation_checkpointing;
  train.log_every_steps = recipe.log_every_steps;
  train.comm = recipe.comm;
  train.watchdog = recipe.watchdog;
  train.preflight = recipe.preflight;
  train.threads = config.threads;
  return train;
}

double ChoiceOptimism(int64_t num_variants, int64_t num_documents) {
  if (num_variants < 2 || num_documents < 1) return 0;
  const auto variants = static_cast<double>(num_variants);
  const double maximum = NormalQuantile((variants - 0.375) / (variants + 0.25));  // Blom
  return maximum * std::sqrt(0.25 * (1 - 0.6) / static_cast<double>(num_documents));
}

int64_t DiskNeed(const StudyConfig& config, int64_t num_parameters) {
  // In copies of the weights: a checkpoint with both moments is three.
  const int64_t training = 3 * (ChoosesEpoch(config.train) ? 3 : 2);
  int64_t finished = 0;
  int64_t most = 0;
  const auto train = [&](int64_t cells) {
    if (cells > 0) most = std::max(most, finished + cells - 1 + training);
    finished += cells;
  };
  for (size_t i = 0; i < config.sizes.size(); ++i) {
    train(std::ssize(config.Rates()));
    finished -= std::ssize(config.Rates()) - 1;  // the rates that lost
  }
  train(std::ssize(config.sizes) * (std::ssize(config.seeds) - 1));
  return 4 * num_parameters * most;
}

}  // namespace breakeven
