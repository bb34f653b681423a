// Pure.
#include "comm/launcher_promise.h"

#include <charconv>
#include <cstdint>
#include <string_view>

namespace breakeven {
namespace {

// Slurm numbers its steps that are not srun's (batch, extern, interactive, pending) from here on.
constexpr int64_t kFirstSpecialSlurmStep = 0xfffffff0;

std::optional<int64_t> Number(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::string_view view(text);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<LauncherPromise> ReadLauncherPromise(
    const std::function<const char*(const char*)>& get) {
  const auto promise = [&](const char* size, const char* rank) -> std::optional<LauncherPromise> {
    const std::optional<int64_t> world_size = Number(get(size));
    if (!world_size.has_value() || *world_size < 1) return std::nullopt;
    return LauncherPromise{size, static_cast<int>(*world_size),
                           static_cast<int>(Number(get(rank)).value_or(0))};
  };
  if (auto found = promise("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")) return found;
  if (auto found = promise("PMI_SIZE", "PMI_RANK")) return found;

  const std::optional<int64_t> step = Number(get("SLURM_STEP_ID"));
  if (!step.has_value() || *step >= kFirstSpecialSlurmStep || get("SLURM_PROCID") == nullptr) {
    return std::nullopt;
  }
  if (auto found = promise("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")) return found;
  return promise("SLURM_NTASKS", "SLURM_PROCID");
}

bool AllOnThisMachine(const std::function<const char*(const char*)>& get) {
  const std::optional<LauncherPromise> promise = ReadLauncherPromise(get);
  if (!promise.has_value()) return false;
  if (promise->world_size == 1) return true;
  if (promise->variable == "OMPI_COMM_WORLD_SIZE") {
    return Number(get("OMPI_COMM_WORLD_LOCAL_SIZE")) == promise->world_size;
  }
  return promise->variable.starts_with("SLURM_") && Number(get("SLURM_STEP_NUM_NODES")) == 1;
}

}  // namespace breakeven
