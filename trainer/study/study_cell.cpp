#include "trainer/study/study_cell.h"

#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/timing.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/study/study_data.h"
#include "trainer/training_run.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

constexpr char kStateFile[] = "trainer_state/state.json";

// In steps of former processes. A cell whose checkpoints are all damaged starts anew: alone, `train` would end
// there, but a study has more to lose than one cell's steps.
double SecondsBefore(const std::string& folder) {
  std::vector<std::string> damaged;
  const auto newest = FindNewestComplete(folder, damaged);
  if (!newest.has_value()) {
    for (const std::string& problem : damaged) {
      LogWarning("damaged checkpoint, the cell is trained anew: " + problem);
    }
    SetAsideDamaged(folder, -1);
    return 0;
  }
  const std::string path = newest->path + "/" + kStateFile;
  return ParseTrainingState(ReadFile(path), path).seconds;
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
  // One clock speaks for all, so that every rank holds the same state.
  double shared[] = {state.seconds};
  world.control->AllReduce(std::span<double>(shared), ReduceOp::kMax);
  state.seconds = shared[0];
  state.steps = summary.steps;
  state.tokens = summary.tokens;
  state.final_loss = summary.final_loss;
  state.validation_loss = summary.best_validation_loss;
  state.checkpoint = fs::relative(summary.last_checkpoint, config.output).string();
  return state;
}

void DropMoments(const std::string& checkpoint) {
  Manifest manifest = ReadManifest(checkpoint);
  std::vector<std::string> dropped;
  for (const auto& [path, record] : manifest.files) {
    if (path.starts_with("trainer_state/") && path != kStateFile) dropped.push_back(path);
  }
  if (!dropped.empty()) {
    for (const std::string& path : dropped) manifest.files.erase(path);
    WriteFileDurably(checkpoint + "/manifest.json", manifest.ToJson());
  }
  // Also what a crash after the new manifest left.
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(checkpoint + "/trainer_state", error)) {
    if (entry.path().filename() != "state.json") files.push_back(entry.path());
  }
  for (const fs::path& file : files) {
    if (!fs::remove(file, error) && error) {
      throw Error(ErrorKind::kIo, file.string() + ": cannot remove: " + error.message());
    }
  }
}

}  // namespace breakeven
