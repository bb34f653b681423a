// breakeven study: prompts against fine-tuning, from data to verdict.
#include "comm/data_plane.h"
#include "comm/device_binding.h"
#include "comm/watched_world.h"
#include "launch/command.h"
#include "launch/report/report_json.h"
#include "launch/study_folder.h"
#include "trainer/study/study_run.h"

namespace breakeven {

void RunStudyCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<StudyConfig>(options, world)) return;
  StudyConfig config = ReadConfigTogether<StudyConfig>(options, world);
  SetWatch(world, config.train.watchdog);
  RunTogether(*world.control, /*root_only=*/false,
              [&] { config.model = ResolveModelPath(config.model); });
  if (options.dry_run) {
    world.device = BindDevice(*world.control, config.train.device.Options());
    return PrintResult(world, DryRunStudy(config, world));
  }
  OpenDataPlane(world, config.train.comm, config.train.device.Options());
  RunStudy(config, world, PrintConfig(config), ConfigHash(config));
  world.EnterPhase(Phase::kClosing);
  std::string text;
  RunTogether(*world.control, /*root_only=*/true, [&] {
    const StudyReport report = ReadStudy(config.output);
    WriteStudyReport(report, config.output);
    text = options.json ? FormatReportJson(report) : FormatStudyText(report);
  });
  PrintResult(world, text);
}

}  // namespace breakeven
