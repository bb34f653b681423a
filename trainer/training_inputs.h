// What a training run reads, opened and checked before anything is built: the same on every rank or
// nothing starts.
#ifndef BREAKEVEN_TRAINER_TRAINING_INPUTS_H_
#define BREAKEVEN_TRAINER_TRAINING_INPUTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/world.h"
#include "data_pipeline/epoch_plan.h"
#include "data_pipeline/token_dataset.h"
#include "trainer/memory_estimate.h"
#include "trainer/model/model_config.h"
#include "trainer/process_resources.h"
#include "trainer/training_config.h"

namespace breakeven {

struct TrainingInputs {
  ModelConfig model_config;
  std::string tokenizer_folder;       // "" when from scratch without one
  std::string tokenizer_fingerprint;  // "" likewise
  std::string config_hash;
  std::string settings_hash;  // but for the number of steps
  std::string plan_hash;
  std::unique_ptr<TokenDataset> train;
  std::unique_ptr<TokenDataset> validation;  // null without validation.data
  std::unique_ptr<EpochPlanner> planner;     // of train, for world_size ranks
  int64_t total_steps = 0;                   // of the whole run
  std::vector<RankPlace> places;             // by rank
  int64_t threads = 1;                       // of this rank
  std::string precision;                     // resolved
  // All ranks see the run folder and write to it: preflight.shared_output, or there is one rank. Else rank 0
  // writes every checkpoint alone.
  bool shares_folder = true;
  bool shard = false;  // optimizer.shard, resolved
};

// COLLECTIVE. A file that one rank cannot open, or that differs between ranks, ends the job on all
// of them with one message. Errors: kUsage (config; fewer examples than ranks), kBadData (files
// that do not fit together: tokenizer of data and model, ids beyond the vocabulary, examples longer
// than the model's context; files that differ over ranks).
TrainingInputs OpenTrainingInputs(const TrainConfig& config, World& world);

// Sizes of a dataset's examples, for plans. The dataset must outlive it.
ExampleSizes SizesOf(const TokenDataset& dataset);

// What a rank will need at most, by the largest micro-batches of the plan (training_dry_run.cpp).
MemoryEstimate EstimateMemory(const TrainConfig& config, const TrainingInputs& inputs,
                              const World& world);

// Text for people: one line per rank with host, local rank, device, threads and CPU mask.
// COLLECTIVE.
std::string RankTable(World& world, const TrainingInputs& inputs);

// What the table says below itself where ranks on CPUs see CUDA devices: a line for each host.
// `devices` has each rank's names of them, "" for none.
std::string UnusedDevicesNote(const std::vector<RankPlace>& places,
                              const std::vector<std::string>& devices);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TRAINING_INPUTS_H_
