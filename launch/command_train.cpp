// breakeven train: fine-tunes a model, or trains one from scratch, by all ranks of the job.
#include <cmath>
#include <nlohmann/json.hpp>

#include "comm/base/progress.h"
#include "comm/data_plane.h"
#include "comm/watched_world.h"
#include "launch/command.h"
#include "launch/print_text.h"
#include "trainer/training_run.h"

namespace breakeven {
namespace {

nlohmann::ordered_json NumberOrNull(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

std::string SummaryJson(const TrainSummary& summary) {
  nlohmann::ordered_json json = {
      {"steps", summary.steps},
      {"epochs", summary.epochs},
      {"seconds", summary.seconds},
      {"tokens", summary.tokens},
      {"tokens_per_second", NumberOrNull(summary.tokens_per_second)},
      {"compute_share", NumberOrNull(summary.compute_share)},
      {"communication_share", NumberOrNull(summary.communication_share)},
      {"skew_share", NumberOrNull(summary.skew_share)},
      {"input_share", NumberOrNull(summary.input_share)},
      {"peak_memory_bytes", summary.peak_memory_bytes},
      {"skipped_steps", summary.skipped_steps},
      {"final_loss", NumberOrNull(summary.final_loss)},
      {"best_validation_loss", NumberOrNull(summary.best_validation_loss)},
      {"last_checkpoint", summary.last_checkpoint},
      {"best_checkpoint", summary.best_checkpoint},
  };
  if (summary.prompt_eval.has_value()) {
    json["prompt_eval"] = nlohmann::ordered_json::parse(FormatSummaryJson(*summary.prompt_eval));
  }
  return json.dump(2) + "\n";
}

// Of the steps that this process did.
std::string StepsText(const TrainSummary& summary) {
  if (summary.compute_share + summary.communication_share + summary.skew_share +
          summary.input_share ==
      0) {
    return "no step was left to do\n";
  }
  return "time in compute " + Print("%.1f", 100 * summary.compute_share) + " %, communication " +
         Print("%.1f", 100 * summary.communication_share) + " %, waiting for other ranks " +
         Print("%.1f", 100 * summary.skew_share) + " %, for input " +
         Print("%.1f", 100 * summary.input_share) + " %; peak memory " +
         Print("%.2f", static_cast<double>(summary.peak_memory_bytes) / 1e9) +
         " GB on the largest rank\nlast training loss " + Print("%.4f", summary.final_loss) +
         " nats per target token\n";
}

std::string SummaryText(const TrainSummary& summary) {
  std::string text = "trained " + FormatCount(summary.steps) + " steps in " +
                     FormatSeconds(summary.seconds) + ": " + FormatCount(summary.tokens) +
                     " tokens, " + Print("%.1f", summary.tokens_per_second) +
                     " tokens/s (no padding)\n" + StepsText(summary);
  if (std::isfinite(summary.best_validation_loss)) {
    text += "best validation loss " + Print("%.4f", summary.best_validation_loss) + "\n";
  }
  if (summary.skipped_steps > 0) {
    text +=
        FormatCount(summary.skipped_steps) + " steps skipped: their gradients were not finite\n";
  }
  text += "last checkpoint: " + summary.last_checkpoint + "\n";
  if (!summary.best_checkpoint.empty())
    text += "best checkpoint: " + summary.best_checkpoint + "\n";
  if (summary.prompt_eval.has_value()) {
    text += "\n" + FormatTable(*summary.prompt_eval) +
            "\nrecords: " + summary.prompt_eval->records_path + "\n";
  }
  return text;
}

}  // namespace

void RunTrainCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<TrainConfig>(options, world)) return;
  TrainConfig config = ReadConfigTogether<TrainConfig>(options, world);
  SetWatch(world, config.watchdog);
  RunTogether(*world.control, /*root_only=*/false, [&] { ResolvePaths(config); });
  if (options.dry_run) {
    world.device = BindDevice(*world.control, config.device.Options());
    return PrintResult(world, DryRunTraining(config, world));
  }
  OpenDataPlane(world, config.comm, config.device.Options());
  const TrainSummary summary = RunTraining(config, world, PrintConfig(config));
  SetWatch(world, config.watchdog);  // the scoring may have had limits of its own
  world.EnterPhase(Phase::kClosing);
  PrintResult(world, options.json ? SummaryJson(summary) : SummaryText(summary));
}

}  // namespace breakeven
