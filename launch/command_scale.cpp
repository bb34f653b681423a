// breakeven scale: strong and weak scaling measured, a model fitted to it, other clusters forecast.
#include <optional>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "launch/child_process.h"
#include "launch/command.h"
#include "launch/report/scaling_report.h"
#include "launch/scale_report.h"
#include "launch/scale_runs.h"
#include "trainer/checkpoint/run_folder.h"

namespace breakeven {
namespace {

std::string DryRun(const ScaleConfig& config, const ScaleRuns& runs) {
  std::string text;
  for (size_t i = 0; i < runs.runs().size(); ++i) {
    const ScalingRun& run = runs.runs()[i];
    if (run.kind == RunKind::kStep) StepConfigOf(config, run).Validate();
    text += std::to_string(i) + (runs.IsDone(i) ? "  done  " : "  ") + run.name + "\n   ";
    for (const std::string& word : runs.Command(i)) text += " " + word;
    text += "\n";
  }
  return text + std::to_string(runs.runs().size()) + " runs, " + std::to_string(runs.NumDone()) +
         " of them done\n";
}

// What an array element needs of this command line: where it is started, paths mean the same.
std::vector<std::string> ArgumentsOf(const CommandOptions& options) {
  std::vector<std::string> arguments;
  if (!options.config.empty()) arguments.push_back(options.config);
  for (const std::string& set : options.set) {
    arguments.emplace_back("--set");
    arguments.push_back(set);
  }
  return arguments;
}

void RunCell(const CommandOptions& options, ScaleRuns& runs) {
  const auto cell = static_cast<size_t>(options.cell);
  if (cell >= runs.runs().size()) {
    throw Error(ErrorKind::kUsage, "--cell " + std::to_string(options.cell) + ": the plan has " +
                                       std::to_string(runs.runs().size()) +
                                       " runs, counted from 0 (--dry-run lists them)");
  }
  if (runs.IsDone(cell)) return;
  if (const std::optional<ErrorKind> failure = runs.Do(cell)) {
    throw Error(*failure,
                runs.runs()[cell].name + " failed: see its .log below the output's cells/");
  }
}

}  // namespace

void RunScaleCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<ScaleConfig>(options, world)) return;
  const auto whole = ReadWholeConfigTogether<ScaleConfig>(options, world);
  const ScaleConfig& config = whole.job;
  ScaleRuns runs(config, OwnProgram());
  if (options.dry_run) return PrintResult(world, DryRun(config, runs));
  if (options.cell >= 0) return RunCell(options, runs);
  if (options.simulate) {
    const ScalingReport report = MakeScalingReport(config, whole.cluster, runs, /*simulate=*/true);
    return PrintResult(
        world, options.json ? FormatScalingJson(report) : FormatSimulationText(report.simulated));
  }
  CreateFolders(config.output);
  const FolderLock lock(config.output);
  std::string to_do;
  if (config.launcher == "mpirun") {
    runs.DoAll();
  } else {
    to_do = WriteSlurmArrays(config, whole.cluster, runs, OwnProgram(), ArgumentsOf(options));
  }
  const ScalingReport report = MakeScalingReport(config, whole.cluster, runs, /*simulate=*/false);
  WriteScalingReport(report, config.output);
  PrintResult(world, options.json ? FormatScalingJson(report) : FormatScalingText(report) + to_do);
}

}  // namespace breakeven
