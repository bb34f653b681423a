// A checkpoint: a Hugging Face model folder that transformers loads, with trainer_state/ for going
// on. Needs ATen.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <memory>
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
  const Model& model;
  const ModelStorage& storage;
  const AdamW& optimizer;
  const CompanionFiles& companions;
};

// Writes RUN/checkpoints/step_N, by the protocol of design.md §3: every file written,
// checked and fsynced in step_N.tmp/, manifest last, folder renamed, directory fsynced, `latest`
// replaced. Until the rename nothing stands under step_N; without Finish step_N.tmp is removed and
// everything older is as it was. On rank 0 only, and in parts, so that between them all ranks can
// bring together what is to be saved. Errors: kIo (disk full), kCannotCreate. Fault points:
// checkpoint.{begin, after_weights, before_manifest, before_rename, before_latest, after_latest},
// numbered by step.
class CheckpointWriter {
 public:
  CheckpointWriter(const std::string& run_folder, int64_t step);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // In this order. `companions`: see above.
  void Weights(const Model& model, const ModelStorage& storage, const CompanionFiles& companions);
  // Both, kExpAvg first; flat_P: all of it, in the layout of the storage given to Weights.
  void Put(Moment moment, const at::Tensor& flat_P);
  // Returns the path.
  std::string Finish(const TrainingState& state);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The same in one go, of an optimizer without shards.
std::string SaveCheckpoint(const std::string& run_folder, const CheckpointSource& source,
                           const TrainingState& state);

// Of a folder that VerifyCheckpoint passed. Errors: kBadData naming file and tensor.
TrainingState LoadTrainingState(const std::string& folder);
// All of a moment, into flat_P in the layout of `storage`; what lies between parameters is left as
// it is. Weights are read by LoadWeights, as from any model folder.
void LoadMoment(const std::string& folder, Moment moment, const ModelStorage& storage,
                const at::Tensor& flat_P);
// Both moments and the update count, of an optimizer without shards.
void LoadOptimizer(const std::string& folder, const TrainingState& state,
                   const ModelStorage& storage, AdamW& optimizer);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_
