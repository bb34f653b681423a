// Where a process stands: the launcher's promise, CPUs, CUDA devices.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>

#include "comm/device_cuda.h"
#include "comm/launcher_promise.h"
#include "comm/world.h"
#include "tests/support/one_cpu.h"

namespace breakeven {
namespace {

using Environment = std::map<std::string, const char*>;

auto Reader(const Environment& environment) {
  return [&environment](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second;
  };
}

std::optional<LauncherPromise> Promise(const Environment& environment) {
  return ReadLauncherPromise(Reader(environment));
}

TEST(LauncherPromise, WithoutLauncherThereIsNone) { EXPECT_FALSE(Promise({}).has_value()); }

TEST(LauncherPromise, OfMpirunIsBelieved) {
  const auto promise = Promise({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}});
  ASSERT_TRUE(promise.has_value());
  EXPECT_EQ(promise->world_size, 4);
  EXPECT_EQ(promise->rank, 3);
  EXPECT_EQ(promise->variable, "OMPI_COMM_WORLD_SIZE");
}

TEST(LauncherPromise, OfASlurmStepIsBelieved) {
  const auto promise = Promise({{"SLURM_STEP_ID", "0"},
                                {"SLURM_PROCID", "2"},
                                {"SLURM_NTASKS", "16"},
                                {"SLURM_STEP_NUM_TASKS", "8"}});
  ASSERT_TRUE(promise.has_value());
  EXPECT_EQ(promise->world_size, 8);
  EXPECT_EQ(promise->rank, 2);
}

// `./breakeven train` in a batch script or a login shell of an allocation is one process on
// purpose.
TEST(LauncherPromise, ABatchOrInteractiveShellPromisesNothing) {
  EXPECT_FALSE(Promise({{"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}}).has_value());
  for (const char* step : {"4294967291", "4294967292", "4294967290"}) {
    EXPECT_FALSE(Promise({{"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", step}})
                     .has_value())
        << step;
  }
}

// mpirun starts one daemon a node through srun: in its ranks Slurm's step counts daemons.
TEST(LauncherPromise, MpirunInsideSlurmGoesByMpirun) {
  const auto promise = Promise({{"OMPI_COMM_WORLD_SIZE", "8"},
                                {"SLURM_STEP_ID", "0"},
                                {"SLURM_PROCID", "1"},
                                {"SLURM_STEP_NUM_TASKS", "2"}});
  ASSERT_TRUE(promise.has_value());
  EXPECT_EQ(promise->world_size, 8);
}

TEST(LauncherPromise, NonsenseIsNoPromise) {
  EXPECT_FALSE(Promise({{"PMI_SIZE", "many"}}).has_value());
  EXPECT_FALSE(Promise({{"PMI_SIZE", "0"}}).has_value());
}

TEST(AllOnThisMachine, IsTrueWhereTheLauncherSaysSo) {
  const auto all_here = [](Environment more) {
    more.emplace("SLURM_PROCID", "0");
    return AllOnThisMachine(Reader(more));
  };
  EXPECT_TRUE(all_here({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}}));
  EXPECT_FALSE(all_here({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}));
  EXPECT_FALSE(all_here({{"OMPI_COMM_WORLD_SIZE", "4"}}));
  EXPECT_TRUE(all_here({{"OMPI_COMM_WORLD_SIZE", "1"}}));
  EXPECT_TRUE(all_here(
      {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_NUM_NODES", "1"}}));
  EXPECT_FALSE(all_here(
      {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_NUM_NODES", "2"}}));
  EXPECT_FALSE(all_here({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}}));
  // mpirun's own daemons are steps of a node each.
  EXPECT_FALSE(all_here({{"OMPI_COMM_WORLD_SIZE", "8"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                         {"SLURM_STEP_ID", "0"},
                         {"SLURM_STEP_NUM_TASKS", "2"},
                         {"SLURM_STEP_NUM_NODES", "1"}}));
  EXPECT_FALSE(all_here({}));
}

TEST(DescribeProcess, ListsTheCpusOfTheMask) {
  const ProcessPlace place = DescribeProcess();
  EXPECT_FALSE(place.host.empty());
  EXPECT_GE(place.num_cpus, 1);
  EXPECT_FALSE(place.cpus.empty());

  // In a thread of its own: the mask is the thread's.
  std::thread([&] {
    const int cpu = BindToOneCpu();
    const ProcessPlace bound = DescribeProcess();
    EXPECT_EQ(bound.num_cpus, 1);
    EXPECT_EQ(bound.cpus, std::to_string(cpu));
  }).join();
}

TEST(CudaDevices, AreThereOrThereIsAReason) {
  const CudaDevices found = VisibleCudaDevices();
  EXPECT_EQ(found.devices.empty(), !found.reason.empty()) << found.reason;
  for (const CudaDevice& device : found.devices) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_FALSE(device.pci_bus_id.empty());
    EXPECT_GT(device.memory_bytes, 0);
  }
}

}  // namespace
}  // namespace breakeven
