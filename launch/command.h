// The subcommands of `breakeven`: one function, one file each. main.cpp reads the command line,
// starts MPI where a command wants it, and turns what a command throws into one message and an exit
// code.
#ifndef BREAKEVEN_LAUNCH_COMMAND_H_
#define BREAKEVEN_LAUNCH_COMMAND_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "comm/world.h"
#include "launch/config_cluster.h"
#include "launch/yaml_reader.h"

namespace breakeven {

struct TrainConfig;

// What stands on the command line.
struct CommandOptions {
  std::string config;            // YAML file; "" = --set alone
  std::vector<std::string> set;  // --set path.to.key=value, in order
  bool print_config = false;     // print the resolved config and stop
  bool help_config = false;      // print the table of all keys and stop
  bool dry_run = false;          // check everything that can be checked, and stop
  bool json = false;             // results as JSON on stdout
  std::string path;              // inspect: what to show; report: the run
  bool verify = false;           // inspect: read and hash everything
  int64_t example = 0;           // inspect: which example of a dataset
  std::string text;              // inspect: text to tokenise
  std::string tokenizer;         // inspect: model folder that decodes a dataset's example
  bool slurm = false;            // launch: by sbatch
  bool mpirun = false;           // launch: by mpirun
  bool paths = false;            // launch: print what the config reads and writes, and stop
  int64_t cell = -1;             // scale: which run of the plan alone; -1 = all
  bool simulate = false;         // scale: the forecasts by event simulation, nothing is run
};

// COLLECTIVE over `world`. Results go to stdout from rank 0, everything else to the log.
void RunPrepareCommand(const CommandOptions& options, World& world);
void RunTrainCommand(const CommandOptions& options, World& world);
void RunEvalCommand(const CommandOptions& options, World& world);
void RunStudyCommand(const CommandOptions& options, World& world);
void RunGenerateCommand(const CommandOptions& options, World& world);
void RunReportCommand(const CommandOptions& options, World& world);
void RunScaleCommand(const CommandOptions& options, World& world);
void RunInspectCommand(const CommandOptions& options, World& world);
void RunLaunchCommand(const CommandOptions& options, World& world);

// COLLECTIVE. Writes rank 0's text to stdout; the others wait until it is written. Error(kIo) when stdout is full or closed.
void PrintResult(World& world, std::string_view text);

// The checkpoint that a run folder stands for, its newest (NewestCheckpoint, and its errors), or that the
// file RUN/checkpoints/latest names; any other path as it is.
std::string ResolveModelPath(const std::string& path);
// The same of every key of a training that may name one, so that config.yaml names the checkpoint.
void ResolvePaths(TrainConfig& config);

// COLLECTIVE. Error(kUsage) on all ranks when their configs differ, naming the first line that
// does.
void CheckSameConfig(World& world, const std::string& resolved);

// COLLECTIVE. Reads the config on every rank: a rank that cannot, or that reads another one, ends
// the job for all. A `cluster:` section may stand in it and is checked; here nothing follows from
// it.
template <FieldStruct T>
WithCluster<T> ReadWholeConfigTogether(const CommandOptions& options, World& world) {
  WithCluster<T> config;
  RunTogether(*world.control, false,
              [&] { config = ReadConfig<WithCluster<T>>(options.config, options.set); });
  CheckSameConfig(world, PrintConfig(config));
  return config;
}
template <FieldStruct T>
T ReadConfigTogether(const CommandOptions& options, World& world) {
  return ReadWholeConfigTogether<T>(options, world).job;
}

template <FieldStruct T>
std::string FormatConfig(const T& config, bool json) {
  return json ? FormatJson(TreeOf(config)) : PrintConfig(config);
}

// --help-config and --print-config: true when one was asked for and answered.
template <FieldStruct T>
bool AnswerAboutConfig(const CommandOptions& options, World& world) {
  if (options.help_config) {
    PrintResult(world, FormatOptionTable(SchemaOf<T>(), TreeOf(T{})));
  } else if (options.print_config) {
    // With the `cluster:` section where there is one, so that what is printed reads back the same.
    const WithCluster<T> config = ReadWholeConfigTogether<T>(options, world);
    const bool plain = PrintConfig(config.cluster) == PrintConfig(ClusterJobConfig{});
    PrintResult(
        world, plain ? FormatConfig(config.job, options.json) : FormatConfig(config, options.json));
  }
  return options.help_config || options.print_config;
}

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_COMMAND_H_
