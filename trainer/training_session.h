// A training run set up: everything between the config and the first step. Internal to trainer;
// needs ATen.
#ifndef BREAKEVEN_TRAINER_TRAINING_SESSION_H_
#define BREAKEVEN_TRAINER_TRAINING_SESSION_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "comm/world.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"
#include "trainer/optim/adamw.h"
#include "trainer/optim/gradient_buckets.h"
#include "trainer/optim/schedule.h"
#include "trainer/training_config.h"
#include "trainer/training_inputs.h"

namespace breakeven {

// Order of members = order of construction. Must go before World::Close().
struct TrainingSession {
  // COLLECTIVE. Opens the inputs, takes the run folder (rank 0 holds its lock), decides about
  // resuming, builds the model, gets the weights (and on resume moments and state) to every rank,
  // and compares them over ranks.
  TrainingSession(const TrainConfig& config, World& world, std::string_view resolved_yaml);
  TrainingSession(const TrainingSession&) = delete;
  TrainingSession& operator=(const TrainingSession&) = delete;

  const TrainConfig config;
  World& world;
  TrainingInputs inputs;
  std::unique_ptr<FolderLock> lock;  // rank 0
  std::string resumed_from;          // "" = from the beginning
  bool resumed_here = false;         // resumed_from stands in this run's own folder
  TrainingState state;
  ModelStorage storage;
  std::unique_ptr<Model> model;
  std::unique_ptr<GradientBuckets> buckets;
  std::unique_ptr<AdamW> optimizer;
  Schedule schedule;
  CompanionFiles companions;
  std::vector<std::vector<int64_t>> validation_plan;  // micro-batches; empty without validation
  // On a GPU the host waits for the device at every lap of a step, for measurements.
  bool exact_phases = false;

  // COLLECTIVE, of an optimizer with shards. All of a moment in the layout of `storage`, gathered into
  // the gradient buffer, until the next step or call.
  const at::Tensor& WholeMoment(Moment moment);
  // COLLECTIVE. Weights, moments and state of a checkpoint of this run, which is verified; the place in
  // the data and the time spent stay. Error(kBadData) when it is damaged.
  void RollBack(const std::string& folder);

 private:
  void TakeRunFolder();
  // COLLECTIVE. The checkpoint's state; rank 0 reads it, `check` first.
  TrainingState StateOf(const std::string& folder, const std::function<void()>& check);
  void ReadState();
  void WriteConfig(std::string_view resolved_yaml);
  void LoadModel();
  void LoadMoments();
};

// COLLECTIVE. Throws Error(kInternal) naming the first rank whose weights differ from rank 0's.
void CheckWeightsOverRanks(TrainingSession& session);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_SESSION_H_
