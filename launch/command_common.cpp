#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <utility>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "launch/command.h"
#include "trainer/checkpoint/run_folder.h"
#include "trainer/training_config.h"

namespace breakeven {
namespace {

// The first line in which two texts differ, "" when one is the other's start.
std::pair<std::string, std::string> FirstDifference(const std::string& left,
                                                    const std::string& right) {
  std::istringstream a(left);
  std::istringstream b(right);
  std::string line_a;
  std::string line_b;
  while (true) {
    const bool more_a = static_cast<bool>(std::getline(a, line_a));
    const bool more_b = static_cast<bool>(std::getline(b, line_b));
    if (!more_a) line_a = "";
    if (!more_b) line_b = "";
    if (line_a != line_b || (!more_a && !more_b)) return {line_a, line_b};
  }
}

}  // namespace

void PrintResult(World& world, std::string_view text) {
  world.control->Barrier();  // under watch still: from here on nobody waits for any rank but 0
  // A pager may hold rank 0 up, and who waits for it has no limit either.
  const PhaseScope waits(world.is_root() ? nullptr : world.watchdog.get(), Phase::kIdle);
  RunTogether(*world.control, /*root_only=*/true, [&] {
    const PhaseScope writes(world.watchdog.get(), Phase::kIdle);
    FaultPoint("result.print");
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (!written || std::fflush(stdout) != 0) {
      throw Error(ErrorKind::kIo, std::string("cannot write the result to standard output: ") +
                                      std::strerror(errno));
    }
  });
}

std::string ResolveModelPath(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path latest(path);
  if (fs::is_directory(latest) && !fs::exists(latest / "config.json")) {
    const fs::path run = latest.has_filename() ? latest : latest.parent_path();  // "RUN/" is RUN
    const std::optional<CheckpointEntry> newest = NewestCheckpoint(run.string());
    return newest.has_value() ? newest->path : path;
  }
  if (latest.filename() != "latest" || !fs::is_regular_file(latest)) return path;
  std::string name = ReadFile(latest.string());
  while (!name.empty() && (name.back() == '\n' || name.back() == ' ')) name.pop_back();
  return (latest.parent_path() / name).string();
}

void ResolvePaths(TrainConfig& config) {
  config.model.path = ResolveModelPath(config.model.path);
  config.model.tokenizer = ResolveModelPath(config.model.tokenizer);
  if (config.resume != "auto" && config.resume != "none") {
    config.resume = ResolveModelPath(config.resume);
  }
  if (!config.prompt_eval.has_value()) return;
  for (auto& [name, path] : config.prompt_eval->models) path = ResolveModelPath(path);
}

void CheckSameConfig(World& world, const std::string& resolved) {
  if (world.world_size() == 1) return;
  const std::vector<std::string> all = world.control->AllGather(resolved);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const auto [first, other] = FirstDifference(all[0], all[rank]);
    throw Error(ErrorKind::kUsage,
                "the ranks of this job read different configs: rank 0 has '" + first + "', rank " +
                    std::to_string(rank) + " has '" + other +
                    "'. Start all ranks with the same command and the same config file",
                /*on_all_ranks=*/true);
  }
}

}  // namespace breakeven
