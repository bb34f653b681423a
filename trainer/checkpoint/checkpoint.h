// A checkpoint: a Hugging Face model folder that transformers loads, with trainer_state/ for going
// on. Needs ATen.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_

#include <map>
#include <string>

#include "trainer/checkpoint/training_state.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"
#include "trainer/optim/adamw.h"

namespace breakeven {

// Small files of a model folder that checkpoints carry on, by name: tokenizer*.json and its kin,
// chat templates and generation_config.json. Read once at the start, so that a save depends on no
// other folder.
using CompanionFiles = std::map<std::string, std::string>;

// `model_folder` may be "" (from scratch); so may `tokenizer_folder`. Error(kBadData) when one is
// no folder.
CompanionFiles ReadCompanionFiles(const std::string& model_folder,
                                  const std::string& tokenizer_folder);

// Not owned; must outlive the call.
struct CheckpointSource {
  Model& model;
  const ModelStorage& storage;
  const AdamW& optimizer;
  const CompanionFiles& companions;
};

// Call on rank 0 only. RUN/checkpoints/step_N, by the protocol of design.md §3: every file written,
// checked and fsynced in step_N.tmp/, manifest last, folder renamed, directory fsynced, `latest`
// replaced. Until the rename nothing stands under step_N; on an error step_N.tmp is removed and
// everything older is as it was. Returns the path. Errors: kIo (disk full), kCannotCreate. Fault
// points: checkpoint.{begin, after_weights, before_manifest, before_rename, before_latest,
// after_latest}, numbered by step.
std::string SaveCheckpoint(const std::string& run_folder, const CheckpointSource& source,
                           const TrainingState& state);

// Of a folder that VerifyCheckpoint passed. Errors: kBadData naming file and tensor.
TrainingState LoadTrainingState(const std::string& folder);
// Moments and the update count. Weights are read by LoadWeights, as from any model folder.
void LoadOptimizer(const std::string& folder, const TrainingState& state,
                   const ModelStorage& storage, AdamW& optimizer);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_
