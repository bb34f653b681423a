// Pure.
#include "trainer/preflight.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/progress.h"
#include "comm/preflight.h"

namespace breakeven {

void Preflight(const TrainConfig& config, World& world, const TrainingInputs& inputs) {
  const auto begin = std::chrono::steady_clock::now();
  Control& control = *world.control;
  CheckSameProgram(control);
  CheckSameOnAllRanks(control, ErrorKind::kMachine, "the precision of the computation",
                      inputs.precision);
  if (config.preflight.shared_output) CheckSharedFolder(control, config.output);
  for (const std::string& trap : FindCpuTraps(control, inputs.threads)) {
    if (world.is_root()) LogWarning(trap);
  }
  if (world.world_size() == 1) return;
  if (config.preflight.probe_seconds > 0) {
    const int64_t gradient_bytes = 4 * inputs.model_config.num_parameters();
    const AllReduceProbe probe = ProbeAllReduce(
        world, std::min(config.bucket_bytes, gradient_bytes), config.preflight.probe_seconds);
    LogInfo(Describe(probe, gradient_bytes));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  LogInfo("preflight: " + std::to_string(world.world_size()) +
          " ranks agree on program, config, data, tokenizer and precision (" +
          FormatSeconds(seconds.count()) + ")");
}

}  // namespace breakeven
