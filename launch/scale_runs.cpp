#include "launch/scale_runs.h"

#include <algorithm>
#include <filesystem>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "comm/world.h"
#include "launch/child_process.h"
#include "launch/config_print.h"
#include "trainer/stop_signals.h"

namespace breakeven {
namespace {

constexpr size_t kTailLines = 3;

// The last lines of a log that say something, as one.
std::string Tail(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      if (!lines.back().empty()) lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  // What the program itself says went wrong is worth more than what mpirun adds.
  std::string tail;
  size_t count = 0;
  for (const std::string& line : lines) {
    if (line.find("error: ") == std::string::npos || count++ >= kTailLines) continue;
    tail += (tail.empty() ? "" : " / ") + line;
  }
  if (!tail.empty()) return tail;
  for (size_t i = lines.size() > kTailLines ? lines.size() - kTailLines : 0; i < lines.size(); ++i)
    if (!lines[i].empty()) tail += (tail.empty() ? "" : " / ") + lines[i];
  return tail;
}

std::string HowItEnded(const ChildEnd& end, const ScaleConfig& config, const std::string& log) {
  if (end.timed_out) {
    return "took longer than cell_timeout_seconds: " +
           std::to_string(static_cast<int64_t>(config.cell_timeout_seconds)) + ". " + Tail(log);
  }
  if (end.exit_code == 127)
    return "could not be started: is " + config.mpirun.front() + " in PATH?";
  return "exit code " + std::to_string(end.exit_code) + ": " + Tail(log);
}

ErrorKind KindOf(const ChildEnd& end) {
  // Told to end, a training saves and says 75, and it is not the user who stopped it.
  if (end.timed_out) return ErrorKind::kCommunication;
  for (const ErrorKind kind :
       {ErrorKind::kUsage, ErrorKind::kBadData, ErrorKind::kInternal, ErrorKind::kCannotCreate,
        ErrorKind::kIo, ErrorKind::kSavedRequeue, ErrorKind::kMachine}) {
    if (end.exit_code == static_cast<int>(kind)) return kind;
  }
  return ErrorKind::kCommunication;
}

}  // namespace

ScaleRuns::ScaleRuns(const ScaleConfig& config, std::string program)
    : config_(config), program_(std::move(program)), runs_(PlanRuns(config)) {
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (!IsDone(i)) continue;
    const std::string path = Path(runs_[i], ".yaml");
    if (ReadFile(path) == ConfigText(runs_[i])) continue;
    throw Error(ErrorKind::kUsage,
                path +
                    ": this run is done, with another config than it would have now. Give "
                    "`output` another folder, or delete that run's files to do it anew");
  }
}

std::string ScaleRuns::Path(const ScalingRun& run, const std::string& ending) const {
  return config_.output + "/cells/" + run.name + ending;
}

std::string ScaleRuns::ConfigText(const ScalingRun& run) const {
  switch (run.kind) {
    case RunKind::kAllReduce:
      return PrintConfig(AllReduceConfigOf(config_));
    case RunKind::kTrain:
      return PrintConfig(TrainConfigOf(config_, run, Path(run, "")));
    case RunKind::kStep:
      break;
  }
  return PrintConfig(StepConfigOf(config_, run));
}

bool ScaleRuns::IsDone(size_t run) const {
  return std::filesystem::exists(Path(runs_.at(run), ".json"));
}

int64_t ScaleRuns::NumDone() const {
  int64_t count = 0;
  for (size_t i = 0; i < runs_.size(); ++i) count += IsDone(i) ? 1 : 0;
  return count;
}

std::vector<std::string> ScaleRuns::Command(size_t index) const {
  const ScalingRun& run = runs_.at(index);
  const NetworkConfig network = config_.Networks().at(run.cell.network);
  std::vector<std::string> command = network.launcher.empty() ? config_.mpirun : network.launcher;
  const auto add = [&](std::initializer_list<std::string> more) {
    command.insert(command.end(), more);
  };
  command.insert(command.end(), network.mpirun.begin(), network.mpirun.end());
  const int64_t n = run.cell.world_size;
  add({"-n", std::to_string(n)});
  if (network.ranks_per_node > 0)
    add({"--map-by", "ppr:" + std::to_string(network.ranks_per_node) + ":node"});
  // More ranks than CPUs must give way while they wait, or nobody gets on.
  const int64_t on_node = network.ranks_per_node > 0 ? std::min(n, network.ranks_per_node) : n;
  if (config_.launcher == "mpirun" && on_node > DescribeProcess().num_cpus)
    add({"--oversubscribe", "--mca", "mpi_yield_when_idle", "1"});
  command.push_back(program_);
  if (run.kind == RunKind::kTrain) {
    add({"train", Path(run, ".yaml"), "--json"});
  } else {
    add({"bench", run.kind == RunKind::kStep ? "step" : "allreduce", Path(run, ".yaml"), "--json"});
  }
  return command;
}

void ScaleRuns::ThrowStopped(const std::string& signal) const {
  throw Error(ErrorKind::kSavedRequeue, "stopped by " + signal + "; " + std::to_string(NumDone()) +
                                            " of " + std::to_string(runs_.size()) +
                                            " runs are done");
}

std::optional<ErrorKind> ScaleRuns::Do(size_t index) {
  const ScalingRun& run = runs_.at(index);
  CreateFolders(config_.output + "/cells");
  WriteFileDurably(Path(run, ".yaml"), ConfigText(run));
  const StopSignals signals;
  const ChildEnd end =
      RunChild({Command(index), Path(run, ".out"), Path(run, ".log"), config_.cell_timeout_seconds},
               [&] { return signals.requested(); });
  if (end.stopped) ThrowStopped(signals.name());
  std::error_code ignored;
  const auto note_failure = [&](ErrorKind kind, const std::string& why) {
    WriteFileDurably(Path(run, ".failed"), why + "\n");
    LogWarning(run.name + " failed: " + why);
    return kind;
  };
  if (end.exit_code != 0)
    return note_failure(KindOf(end), HowItEnded(end, config_, ReadFile(Path(run, ".log"))));
  const bool training = run.kind == RunKind::kTrain;
  const std::string text = ReadFile(training ? Path(run, "/metrics.jsonl") : Path(run, ".out"));
  try {
    if (run.kind == RunKind::kStep) ParseStepMeasurement(text, Path(run, ".out"));
    if (run.kind == RunKind::kAllReduce) ParseCollectives(text, Path(run, ".out"));
    if (training) ParseTraining(text, Path(run, "/metrics.jsonl"));
  } catch (const Error& error) {
    return note_failure(error.kind(), error.what());
  }
  WriteFileDurably(Path(run, ".json"), text);
  std::filesystem::remove(Path(run, ".failed"), ignored);
  std::filesystem::remove(Path(run, ".out"), ignored);
  if (training) std::filesystem::remove_all(Path(run, "/checkpoints"), ignored);  // gigabytes
  return std::nullopt;
}

void ScaleRuns::DoAll() {
  const StopSignals signals;  // also between runs
  Progress progress("scale", std::ssize(runs_), {.start = NumDone()});
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (signals.requested()) ThrowStopped(signals.name());
    if (IsDone(i)) continue;
    progress.Line(runs_[i].name);
    Do(i);  // a failure is noted, and the report names it
    progress.Add(1, runs_[i].name);
  }
}

ScalingResults ScaleRuns::Read() const {
  ScalingResults results;
  for (size_t i = 0; i < runs_.size(); ++i) {
    const ScalingRun& run = runs_[i];
    const std::string path = Path(run, ".json");
    if (!IsDone(i)) {
      if (std::filesystem::exists(Path(run, ".failed"))) {
        std::string why = ReadFile(Path(run, ".failed"));
        while (!why.empty() && why.back() == '\n') why.pop_back();
        results.failures[run.name] = why;
      }
      continue;
    }
    const std::string text = ReadFile(path);
    if (run.kind == RunKind::kStep) {
      results.steps[run.name] = ParseStepMeasurement(text, path);
    } else if (run.kind == RunKind::kTrain) {
      results.trainings[run.name] = ParseTraining(text, path);
    } else {
      for (CollectiveMeasurement& m : ParseCollectives(text, path)) {
        m.network = run.cell.network;
        results.collectives.push_back(m);
      }
    }
  }
  return results;
}

}  // namespace breakeven
