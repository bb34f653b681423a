// A job for tests of the watchdog, without libtorch: steps of input, compute and all-reduce under mpirun, with fault points.
// Arguments: key=value of {steps, limit, elements, check, part, mpi}: the limit of every phase in seconds; check=1: the
// contract of collectives is checked; mpi=1: that back end; part=N: at step N the last rank calls another collective than the others.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/log.h"
#include "comm/data_plane.h"
#include "comm/watched_world.h"
#include "comm/world.h"

namespace breakeven {
namespace {

struct Options {
  int64_t steps = 20;
  double limit = 3;
  int64_t elements = 1 << 14;
  bool check = false;
  int64_t part = -1;
  bool mpi = false;
};

Options Parse(int argc, char** argv) {
  std::map<std::string, double> values;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equal = argument.find('=');
    if (equal == std::string::npos) throw Error(ErrorKind::kUsage, argument + ": not key=value");
    values[argument.substr(0, equal)] = std::atof(argument.c_str() + equal + 1);
  }
  Options options;
  if (values.count("steps")) options.steps = static_cast<int64_t>(values["steps"]);
  if (values.count("limit")) options.limit = values["limit"];
  if (values.count("elements")) options.elements = static_cast<int64_t>(values["elements"]);
  if (values.count("check")) options.check = values["check"] != 0;
  if (values.count("part")) options.part = static_cast<int64_t>(values["part"]);
  if (values.count("mpi")) options.mpi = values["mpi"] != 0;
  return options;
}

// noinline: tests look for the names.
[[gnu::noinline]] void ReduceGradients(World& world, std::vector<float>& gradients) {
  for (float& value : gradients) value = 1;
  world.data->AllReduce({gradients.data(), std::ssize(gradients), DType::kFloat32, Device{}},
                        ReduceOp::kSum, {});
  for (const float value : gradients) {
    if (value == static_cast<float>(world.world_size())) continue;
    throw Error(ErrorKind::kInternal, "a sum is " + std::to_string(value));
  }
}

[[gnu::noinline]] void SendWeights(World& world, std::vector<float>& weights) {
  world.data->Broadcast({weights.data(), std::ssize(weights), DType::kFloat32, Device{}}, 0, {});
  weights[0] = 0;
}

[[gnu::noinline]] void WaitForInput(World& world, int64_t step) {
  world.EnterPhase(Phase::kInput, step);
  FaultPoint("job.input", step);
}

void Steps(World& world, const Options& options) {
  std::vector<float> values(static_cast<size_t>(options.elements));
  const bool last = world.rank() == world.world_size() - 1;
  for (int64_t step = 0; step < options.steps; ++step) {
    WaitForInput(world, step);
    world.EnterPhase(Phase::kStep, step);
    FaultPoint("job.step", step);
    if (step == options.part && last) {
      SendWeights(world, values);
    } else {
      ReduceGradients(world, values);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // work
    if (step % 4 == 3) {
      const PhaseScope scope(world.watchdog.get(), Phase::kCheckpoint, step);
      RunTogether(*world.control, /*root_only=*/true, [&] { FaultPoint("job.save", step); });
    }
  }
}

int Run(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  MpiSession session(&argc, &argv);
  session.seconds_to_finalize = options.limit;
  World world = session.MakeWorld();
  WatchMpiWorld(world);
  world.EnterPhase(Phase::kStartUp);
  WatchdogConfig config;
  config.startup_seconds = config.step_seconds = options.limit;
  config.checkpoint_seconds = config.closing_seconds = options.limit;
  SetWatch(world, config);
  CommConfig comm;
  comm.check_calls = options.check;
  if (options.mpi) comm.backend = "mpi";
  OpenDataPlane(world, comm);
  LogInfo("watching");
  try {
    Steps(world, options);
  } catch (const Error& error) {
    if (!error.on_all_ranks()) world.control->Abort(error.exit_code(), error.what());
    if (world.is_root()) LogError(error.what());
    world.Close();
    return error.exit_code();
  }
  world.Close();
  LogInfo("done");
  return 0;
}

}  // namespace
}  // namespace breakeven

int main(int argc, char** argv) {
  try {
    return breakeven::Run(argc, argv);
  } catch (const breakeven::Error& error) {
    breakeven::LogError(error.what());
    return error.exit_code();
  }
}
