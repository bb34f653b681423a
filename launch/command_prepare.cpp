// breakeven prepare: raw text → HDF5 token datasets. Under mpirun rank 0 does it for all.
#include <nlohmann/json.hpp>

#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "data_pipeline/prepare.h"
#include "launch/command.h"

namespace breakeven {
namespace {

std::string ReportJson(const PrepareReport& report) {
  nlohmann::ordered_json json;
  for (const auto& [name, split] : report.splits) {
    json["splits"][name] = {{"path", split.path},         {"examples", split.num_examples},
                            {"tokens", split.num_tokens}, {"target_tokens", split.num_targets},
                            {"counts", split.counts},     {"token_lengths", split.token_lengths}};
  }
  json["warnings"] = report.warnings;
  return json.dump(2) + "\n";
}

std::string ReportTable(const PrepareReport& report) {
  std::string text =
      "| split | examples | tokens | target tokens | tokens an example (min / p50 / p90 / p99 / "
      "max) |\n"
      "|---|---|---|---|---|\n";
  for (const auto& [name, split] : report.splits) {
    std::string lengths;
    for (const char* key : {"min", "p50", "p90", "p99", "max"}) {
      const auto found = split.token_lengths.find(key);
      lengths +=
          (lengths.empty() ? "" : " / ") +
          (found == split.token_lengths.end() ? std::string("–") : std::to_string(found->second));
    }
    text += "| " + name + " | " + FormatCount(split.num_examples) + " | " +
            FormatCount(split.num_tokens) + " | " + FormatCount(split.num_targets) + " | " +
            lengths + " |\n";
  }
  for (const auto& [name, split] : report.splits) {
    for (const auto& [count, value] : split.counts) {
      if (value != 0) text += name + ": " + FormatCount(value) + " " + count + "\n";
    }
    text += name + ": " + split.path + "\n";
  }
  return text;
}

}  // namespace

void RunPrepareCommand(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<PrepareConfig>(options, world)) return;
  const PrepareConfig config = ReadConfigTogether<PrepareConfig>(options, world);
  std::string text;
  RunTogether(*world.control, /*root_only=*/true, [&] {
    if (options.dry_run) {
      text = DryRunPrepare(config);
      return;
    }
    const PrepareReport report = RunPrepare(config);
    for (const std::string& warning : report.warnings) LogWarning(warning);
    text = options.json ? ReportJson(report) : ReportTable(report);
  });
  PrintResult(world, text);
}

}  // namespace breakeven
