// breakeven eval: scores prompt variants on models and checkpoints, documents dealt over the ranks.
#include "comm/watched_world.h"
#include "launch/command.h"
#include "trainer/prompt_eval/evaluation.h"

namespace breakeven {

void RunEvalCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<EvalConfig>(options, world)) return;
  EvalConfig config = ReadConfigTogether<EvalConfig>(options, world);
  SetWatch(world, config.watchdog.value_or(WatchdogConfig()));
  RunTogether(*world.control, /*root_only=*/false, [&] {
    for (auto& [name, path] : config.models) path = ResolveModelPath(path);
  });
  world.device = BindDevice(*world.control, config.device.Options());
  if (options.dry_run) return PrintResult(world, DryRunEvaluation(config, world));
  const EvalSummary summary = RunEvaluation(config, world);
  world.EnterPhase(Phase::kClosing);
  PrintResult(world, options.json
                         ? FormatSummaryJson(summary)
                         : FormatTable(summary) + "\nrecords: " + summary.records_path + "\n");
}

}  // namespace breakeven
