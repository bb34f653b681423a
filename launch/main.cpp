// breakeven: the command line. What a subcommand does is in command_<name>.cpp.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/suggest.h"
#include "launch/bench.h"
#include "launch/command.h"
#include "launch/job.h"

namespace breakeven {
namespace {

constexpr char kVersion[] = "breakeven " BREAKEVEN_VERSION;

constexpr char kFooter[] =
    "Config keys, with types, limits and defaults: breakeven COMMAND --help-config, or "
    "configs/REFERENCE.md.\n"
    "\n"
    "Exit codes: 0 done; 64 command line or config; 65 bad data or model file; 70 hung, or "
    "internal error;\n"
    "73 cannot create output; 74 reading or writing failed; 75 stopped by a signal with everything "
    "saved: run the\n"
    "same command again; 76 another rank or the network failed; 78 this machine is not fit for the "
    "job.";

using RunFunction = void (*)(const CommandOptions&, World&);

enum class UsesMpi { kAlways, kWhenLaunched, kNever };

// Whether the watchdog's limits hold from the command's start to its end: only where all that takes long is in a phase of its own
// and shows progress.
enum class HasPhases { kNo, kYes };

enum class Takes { kConfig, kScaleConfig, kPath, kStudyFolder, kClusterConfig };

struct CommandInfo {
  const char* name;
  const char* summary;
  const char* examples;
  UsesMpi uses_mpi;
  RunFunction run;
  Takes takes = Takes::kConfig;
  HasPhases has_phases = HasPhases::kNo;
};

constexpr CommandInfo kCommands[] = {
    {"prepare", "raw data (JSONL, CSV, TSV, text) -> tokenised HDF5 splits",
     "Examples:\n"
     "  breakeven prepare configs/quickstart_prepare.yaml\n"
     "  breakeven prepare my_task.yaml --set max_tokens=512 --set output=data/mine   # keys from "
     "the command line\n"
     "  breakeven prepare my_task.yaml --dry-run    # checks files, templates and tokenizer, shows "
     "rendered examples",
     UsesMpi::kWhenLaunched, RunPrepareCommand},
    {"train", "fine-tune a model, or train one from scratch, by all ranks of an MPI job",
     "Examples:\n"
     "  breakeven train configs/quickstart_train.yaml                        # one process\n"
     "  mpirun -n 4 --bind-to none breakeven train my_run.yaml               # four ranks, the "
     "same mathematics\n"
     "  breakeven train my_run.yaml --dry-run                                # check all, estimate "
     "memory, stop\n"
     "  breakeven train my_run.yaml --set optimizer.learning_rate=2e-5 --set output=runs/slow\n"
     "A run that was stopped (exit code 75, a kill, a crash) goes on where its newest checkpoint "
     "is when the same\n"
     "command is given again.",
     UsesMpi::kAlways, RunTrainCommand, Takes::kConfig, HasPhases::kYes},
    {"eval", "score prompt variants on models and checkpoints",
     "Examples:\n"
     "  mpirun -n 2 --bind-to none breakeven eval my_eval.yaml\n"
     "  breakeven eval my_eval.yaml --set models.tuned=runs/mine/checkpoints/step_000120 --set "
     "limit=50\n"
     "Scores are the same bits for any number of ranks with the same threads a rank.",
     UsesMpi::kAlways, RunEvalCommand, Takes::kConfig, HasPhases::kYes},
    {"study", "does fine-tuning beat the best prompt, by how much, and when does it pay?",
     "Examples:\n"
     "  mpirun -n 2 --bind-to none breakeven study configs/study_quickstart.yaml\n"
     "  breakeven study my_study.yaml --dry-run      # plan, cells, disk, time; nothing is kept\n"
     "A study that was stopped (exit code 75, a kill, a crash) goes on when the same command is "
     "given again.",
     UsesMpi::kAlways, RunStudyCommand, Takes::kConfig, HasPhases::kYes},
    {"generate", "write text with a model",
     "Examples:\n"
     "  breakeven generate --set model=models/SmolLM2-135M-Instruct --set apply_chat_template=true "
     "\\\n"
     "      --set prompts='What is a token?'\n"
     "  breakeven generate my_generate.yaml --json > answers.jsonl",
     UsesMpi::kAlways, RunGenerateCommand},
    {"report", "rebuild a study's report from the records of its run",
     "Examples:\n"
     "  breakeven report runs/my_study                # report.html, report.md, report.json anew; "
     "the verdict here\n"
     "  breakeven report runs/my_study --json | jq .sentence",
     UsesMpi::kNever, RunReportCommand, Takes::kStudyFolder},
    {"scale", "how training scales: measured here, fitted, forecast for other clusters",
     "Examples:\n"
     "  breakeven scale configs/scale_this_machine.yaml         # runs mpirun itself; start it "
     "without one\n"
     "  breakeven scale my_sweep.yaml --dry-run                 # the runs and their commands\n"
     "  breakeven scale my_sweep.yaml --set launcher=slurm      # writes array jobs instead\n"
     "  breakeven scale configs/scale_forecast.yaml --simulate  # thousands of ranks, message by "
     "message\n"
     "A sweep that was stopped goes on when the same command is given again: runs that are done "
     "stay done.",
     UsesMpi::kNever, RunScaleCommand, Takes::kScaleConfig},
    {"inspect", "show a dataset, model, checkpoint, tokenizer, run or config, explained",
     "Examples:\n"
     "  breakeven inspect data/catalogue/tokens/train.h5 --example 7 --tokenizer "
     "models/SmolLM2-135M-Instruct\n"
     "  breakeven inspect data/catalogue/tokens/train.h5 --verify   # read everything, compare "
     "every hash\n"
     "  breakeven inspect runs/mine/checkpoints/latest            # model, parameters, training "
     "state\n"
     "  breakeven inspect models/SmolLM2-135M-Instruct --text 'Hello world'    # its tokens\n"
     "  breakeven inspect configs/quickstart_train.yaml           # resolved, each key with its "
     "meaning",
     UsesMpi::kNever, RunInspectCommand, Takes::kPath},
    {"launch",
     "start a config's job on a cluster: write the Slurm script or mpirun command, submit",
     "Examples:\n"
     "  breakeven launch my_train.yaml --slurm --set cluster.site=cluster/sites/mine.yaml "
     "--dry-run\n"
     "  breakeven launch my_train.yaml --slurm --set cluster.nodes=4 --set "
     "cluster.ranks_per_node=8\n"
     "  breakeven launch my_train.yaml --mpirun --set cluster.hostfile=hosts --set "
     "cluster.nodes=2\n"
     "Files, shared folders, GPUs and the time limit are checked first. cluster/README.md says "
     "more.",
     UsesMpi::kNever, RunLaunchCommand, Takes::kClusterConfig},
};

// Below `breakeven bench`.
constexpr CommandInfo kBenches[] = {
    {"allreduce", "time of an all-reduce by size, back ends side by side, beside MPI_Allreduce",
     "Examples:\n"
     "  mpirun -n 2 --bind-to none breakeven bench allreduce\n"
     "  mpirun -n 4 --bind-to none breakeven bench allreduce --set sizes=[1000000,64000000] --json",
     UsesMpi::kAlways, RunBenchAllReduce},
    {"loader", "examples a second out of a token dataset, by mmap and by H5Dread",
     "Examples:\n"
     "  breakeven bench loader --set data=data/catalogue/tokens/train.h5 \\\n"
     "      --set batching.global_batch.examples=16",
     UsesMpi::kNever, RunBenchLoader},
    {"score", "documents a second of prompt evaluation; takes a config of `eval`",
     "Examples:\n"
     "  mpirun -n 2 --bind-to none breakeven bench score configs/quickstart_eval.yaml --set "
     "limit=100\n"
     "Nothing is kept and no ledger is opened.",
     UsesMpi::kAlways, RunBenchScore},
    {"step", "tokens a second of training steps, split by phase; takes a config of `train`",
     "Examples:\n"
     "  mpirun -n 2 --bind-to none breakeven bench step configs/quickstart_train.yaml\n"
     "  breakeven bench step configs/quickstart_train.yaml --set precision=float32 --set "
     "bench_steps=50 --json\n"
     "Nothing is kept: it trains in a folder of its own that it deletes.",
     UsesMpi::kAlways, RunBenchStep},
};
constexpr char kBenchSummary[] = "measure a part of the program on this machine";

void AddOptions(CLI::App& command, CommandOptions& options, Takes takes) {
  if (takes == Takes::kStudyFolder) {
    command.add_option("path", options.path, "output folder of a study")->required();
  } else if (takes == Takes::kPath) {
    command
        .add_option("path", options.path,
                    "dataset (.h5, .index.json), model or run folder, or config (.yaml)")
        ->required();
    command.add_flag("--verify", options.verify, "read everything and compare every hash");
    command.add_option("--example", options.example, "dataset: which example to show (from 0)")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--tokenizer", options.tokenizer,
                       "dataset: model folder to decode the example with");
    command.add_option("--text", options.text, "model or tokenizer: text to turn into tokens");
  } else {
    command.add_option("config", options.config,
                       "YAML file; without one, --set alone gives the keys");
    command.add_flag("--print-config", options.print_config,
                     "print the resolved config (reads back the same) and stop");
    command.add_flag("--help-config", options.help_config,
                     "print a table of all config keys and stop");
    command.add_flag("--dry-run", options.dry_run,
                     "check config, data and model, print what would happen, and stop");
  }
  if (takes == Takes::kClusterConfig) {
    CLI::Option* slurm = command.add_flag("--slurm", options.slurm, "submit a batch job");
    command.add_flag("--mpirun", options.mpirun, "start the ranks now")->excludes(slurm);
    command.add_flag("--paths", options.paths,
                     "print what the config reads and writes, a line each, and stop");
  }
  if (takes == Takes::kScaleConfig) {
    command.add_option("--cell", options.cell, "only this run of the plan (from 0): array jobs")
        ->check(CLI::NonNegativeNumber);
    command.add_flag("--simulate", options.simulate,
                     "the forecasts by event simulation beside the closed form; nothing is run");
  }
  if (takes != Takes::kStudyFolder) {
    command
        .add_option("--set", options.set,
                    "path.to.key=value over what the file says; repeatable; value is YAML, list "
                    "indices from 0")
        ->take_all()
        ->allow_extra_args(false);
  }
  command.add_flag("--json", options.json, "results as JSON on stdout, no progress lines");
}

// Why `word`, where a command of `names` is wanted, is none; "" when it is one, or an option.
std::string WhatIsWrongWith(const char* word, const std::vector<std::string>& names,
                            const std::string& kind, const std::string& help) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  if (word == nullptr)
    return "no " + kind + " given. There is: " + list + "; " + help + " says more";
  if (word[0] == '-' || std::find(names.begin(), names.end(), word) != names.end()) return "";
  return "unknown " + kind + " '" + std::string(word) + "'" + DidYouMean(word, names) +
         " There is: " + list;
}

// Exit code of a command line that asked for help or could not be read.
int EndParse(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) return DescribeLaunch().rank == 0 ? app.exit(error) : 0;
  std::vector<std::string> commands;
  std::vector<std::string> benches;
  for (const CommandInfo& command : kCommands) commands.emplace_back(command.name);
  for (const CommandInfo& bench : kBenches) benches.emplace_back(bench.name);
  commands.emplace_back("bench");
  const auto word = [&](int i) { return i < argc ? argv[i] : nullptr; };
  std::string message = WhatIsWrongWith(word(1), commands, "command", "breakeven --help");
  if (message.empty() && word(1) == std::string_view("bench")) {
    message = WhatIsWrongWith(word(2), benches, "bench", "breakeven bench --help");
  }
  return Job().Fail(Error(ErrorKind::kUsage, message.empty() ? error.what() : message));
}

int RunCommand(const CommandInfo& command, const CommandOptions& options, int argc, char** argv) {
  Job job;
  try {
    SetLogQuiet(options.json);
    const bool launched = DescribeLaunch().world_size > 1;
    job.Start(&argc, &argv,
              command.uses_mpi == UsesMpi::kAlways ||
                  (command.uses_mpi == UsesMpi::kWhenLaunched && launched),
              command.has_phases == HasPhases::kYes);
    command.run(options, job.world());
    job.Finish();
    return 0;
  } catch (const Error& error) {
    return job.Fail(error);
  } catch (const std::bad_alloc&) {
    return job.Fail(Error(ErrorKind::kMachine, std::string(kOutOfMemory)));
  } catch (const std::exception& error) {
    return job.Fail(Error(ErrorKind::kInternal, error.what()));
  }
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Fine-tunes a language model over MPI ranks and scores it against prompts: does fine-tuning "
      "beat the best\n"
      "prompt on your task, and by how much?",
      "breakeven");
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  app.footer(kFooter);
  CommandOptions options;
  const auto add = [&](CLI::App& parent, const CommandInfo& command) {
    CLI::App* sub = parent.add_subcommand(command.name, command.summary);
    AddOptions(*sub, options, command.takes);
    sub->footer(std::string(command.examples) + "\n\n" + kFooter);
  };
  for (const CommandInfo& command : kCommands) add(app, command);
  CLI::App* bench = app.add_subcommand("bench", kBenchSummary);
  bench->require_subcommand(1);
  for (const CommandInfo& command : kBenches) add(*bench, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return EndParse(app, error, argc, argv);
  }
  for (const CommandInfo& command : kCommands) {
    if (app.got_subcommand(command.name)) return RunCommand(command, options, argc, argv);
  }
  for (const CommandInfo& command : kBenches) {
    if (bench->got_subcommand(command.name)) return RunCommand(command, options, argc, argv);
  }
  return 0;
}

}  // namespace
}  // namespace breakeven

int main(int argc, char** argv) {
  // A write beyond RLIMIT_FSIZE then fails with EFBIG and ends as a full disk does, nothing lost.
  std::signal(SIGXFSZ, SIG_IGN);
  return breakeven::Main(argc, argv);
}
