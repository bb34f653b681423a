#include "trainer/study/study_cell.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "comm/base/timing.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/study/study_data.h"
#include "trainer/study/study_files.h"
#include "trainer/training_run.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

// The newest checkpoint's state, if it and the best one are whole: a run that goes on does not look at the best one again.
std::optional<TrainingState> WholeState(const std::string& folder,
                                        std::vector<std::string>& damaged) {
  const auto newest = FindNewestComplete(folder, damaged);
  if (!newest.has_value()) return std::nullopt;
  TrainingState state = LoadTrainingState(newest->path);
  if (state.best_step < 0 || state.best_step == newest->step) return state;
  try {
    VerifyCheckpoint(CheckpointsFolder(folder) + "/" + CheckpointName(state.best_step));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kIo) throw;  // the disk's fault, perhaps for a moment only
    damaged.push_back(error.what());
    return std::nullopt;
  }
  return state;
}

// In steps of former processes. A cell whose checkpoints are damaged starts anew: alone, `train` would end there or go
// on without its best one, but a study has more to lose than one cell's steps.
double SecondsBefore(const std::string& folder) {
  std::vector<std::string> damaged;
  const auto state = WholeState(folder, damaged);
  if (state.has_value()) return state->seconds;
  for (const std::string& problem : damaged) {
    LogWarning("damaged checkpoint, the cell is trained anew: " + problem);
  }
  SetAsideDamaged(folder, -1);
  return 0;
}

// COLLECTIVE. Rank 0 looks, for all: another host may not have the folder.
void TakeChosen(const TrainSummary& summary, const std::string& run, World& world,
                CellState& state) {
  RunTogether(*world.control, /*root_only=*/true, [&] {
    const std::string& best = summary.best_checkpoint;
    const int64_t best_step = LoadTrainingState(summary.last_checkpoint).best_step;
    if (best.empty() && best_step >= 0) {
      throw Error(ErrorKind::kIo, summary.last_checkpoint +
                                      ": the one with the lowest loss on dev, " +
                                      CheckpointName(best_step) +
                                      ", is gone from beside it; run the same command again, "
                                      "and the cell is trained anew");
    }
    const std::string& chosen = best.empty() ? summary.last_checkpoint : best;
    state.checkpoint = fs::relative(chosen, run).string();
    const TrainingState at = LoadTrainingState(chosen);
    state.chosen_step = at.step;
    state.chosen_epoch = at.epoch + (at.step_in_epoch > 0 ? 1 : 0);
  });
  world.control->Broadcast(state.checkpoint, /*root=*/0);
  state.chosen_step = world.control->AllReduce(state.chosen_step, ReduceOp::kMax);
  state.chosen_epoch = world.control->AllReduce(state.chosen_epoch, ReduceOp::kMax);
}

std::string ManifestOf(const std::string& checkpoint) { return checkpoint + "/manifest.json"; }

void KeepOnly(const std::string& checkpoint, const std::string& folder) {
  if (!IsThere(ManifestOf(checkpoint))) {
    throw Error(ErrorKind::kBadData, ManifestOf(checkpoint) + ": missing; nothing is deleted");
  }
  const std::string kept = fs::path(checkpoint).filename();
  for (const CheckpointEntry& entry : ListCheckpoints(folder)) {
    if (fs::path(entry.path).filename() == kept) {
      WriteLatest(folder, entry.step);
      continue;
    }
    RemoveFolder(entry.path);
  }
}

void DropMoments(const std::string& checkpoint) {
  Manifest manifest = ReadManifest(checkpoint);
  std::vector<std::string> dropped;
  for (const auto& [path, record] : manifest.files) {
    if (path.starts_with("trainer_state/") && path != kStateFile) dropped.push_back(path);
  }
  if (!dropped.empty()) {
    for (const std::string& path : dropped) manifest.files.erase(path);
    WriteFileDurably(ManifestOf(checkpoint), manifest.ToJson());
  }
  // Also what a crash after the new manifest left.
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(checkpoint + "/trainer_state", error)) {
    if (entry.path().filename() != fs::path(kStateFile).filename()) files.push_back(entry.path());
  }
  for (const fs::path& file : files) {
    if (!fs::remove(file, error) && error) {
      throw Error(ErrorKind::kIo, file.string() + ": cannot remove: " + error.message());
    }
  }
}

}  // namespace

CellState TrainCell(const StudyConfig& config, const StudyCell& cell, const std::string& folder,
                    World& world) {
  CellState state;
  RunTogether(*world.control, /*root_only=*/true, [&] { state.seconds = SecondsBefore(folder); });
  const Stopwatch watch;
  const TrainSummary summary =
      RunTraining(CellTraining(config, cell, SubsetDataset(config.output, cell.size),
                               ValidationDataset(config.output), folder),
                  world);
  state.seconds += watch.Seconds();
  FaultPoint("study.cell_trained", kCallNumber);
  // One clock speaks for all, so that every rank holds the same state.
  double shared[] = {state.seconds};
  world.control->AllReduce(std::span<double>(shared), ReduceOp::kMax);
  state.seconds = shared[0];
  state.steps = summary.steps;
  state.tokens = summary.tokens;
  state.final_loss = summary.final_loss;
  state.validation_loss = summary.best_validation_loss;
  TakeChosen(summary, config.output, world, state);
  return state;
}

std::string DescribeTraining(const StudyConfig& config, const CellState& cell) {
  char loss[32] = "";  // not known after a kill behind the last step
  if (std::isfinite(cell.final_loss)) {
    std::snprintf(loss, sizeof(loss), "loss %.4f, ", cell.final_loss);
  }
  std::string text = loss + FormatSeconds(cell.seconds);
  if (ChoosesEpoch(config.train)) {
    text += ", kept as after step " + std::to_string(cell.chosen_step) + " of " +
            std::to_string(cell.steps);
  }
  return text;
}

bool HasWeights(const std::string& checkpoint, World& world) {
  bool has = true;
  RunTogether(*world.control, /*root_only=*/true, [&] { has = IsThere(ManifestOf(checkpoint)); });
  return world.control->AllReduce(int64_t{has}, ReduceOp::kMin) != 0;
}

void KeepWeightsOf(const std::string& checkpoint, const std::string& folder) {
  KeepOnly(checkpoint, folder);
  DropMoments(checkpoint);
}

}  // namespace breakeven
