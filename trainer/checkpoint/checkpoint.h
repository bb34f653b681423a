// A checkpoint: a Hugging Face model folder that transformers loads, with trainer_state/ for going
// on. Needs ATen.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/moment_parts.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"

namespace breakeven {

// Small files of a model folder that checkpoints carry on, by name: tokenizer*.json and its kin,
// chat templates and generation_config.json. Read once at the start, so that a save depends on no
// other folder.
using CompanionFiles = std::map<std::string, std::string>;

// `model_folder` may be "" (from scratch); so may `tokenizer_folder`. Error(kBadData) when one is
// no folder.
CompanionFiles ReadCompanionFiles(const std::string& model_folder,
                                  const std::string& tokenizer_folder);

// One rank's part of a checkpoint, on the host. Tensors are float32.
struct CheckpointPart {
  int index = 0;  // among num_parts
  int num_parts = 1;
  at::Tensor parameters_P;  // all of them, in part 0; undefined in others
  std::vector<HeldStretch> moments;
};

// A save, by a protocol that leaves a whole checkpoint or none. Every part writes its files, checked and fsynced, into
// step_N.tmp/ and reads them back; when all have, Commit writes the manifest, renames the folder,
// fsyncs the directory and replaces `latest`. Until the rename nothing stands under step_N. Errors:
// kIo (disk full), kCannotCreate. Fault points: checkpoint.{begin, after_weights, after_part} in
// WritePart, checkpoint.{before_manifest, before_rename, before_latest, after_latest} in
// CommitCheckpoint, numbered by step.
//
// Safe in a thread of its own, beside training that goes on: reads of `model` and `storage` only
// what never changes, names and shapes.
FileRecords WritePart(const std::string& run_folder, int64_t step, const Model& model,
                      const ModelStorage& storage, const CompanionFiles& companions,
                      const CheckpointPart& part);
// On one rank, behind all parts; `files` are those of all parts. Returns the manifest's hash.
std::string CommitCheckpoint(const std::string& run_folder, const TrainingState& state,
                             const FileRecords& files);
// What a save that failed has left in step_N.tmp; nobody may be writing there any more.
void RemoveUnfinished(const std::string& run_folder, int64_t step) noexcept;

// Loading, of a folder that VerifyCheckpoint passed: LoadTrainingState, LoadMoment, and LoadWeights as from any model folder.

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_CHECKPOINT_H_
