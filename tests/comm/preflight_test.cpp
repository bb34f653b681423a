// What is looked at before the first step, on ranks that are threads.
#include "comm/preflight.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "comm/base/error.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

namespace fs = std::filesystem;

std::string OneTrap(const std::vector<CpuUse>& ranks) {
  const std::vector<std::string> traps = FindCpuTraps(ranks);
  EXPECT_EQ(traps.size(), 1U);
  return traps.empty() ? "" : traps[0];
}

TEST(FindCpuTraps, AFittingJobHasNone) {
  EXPECT_TRUE(FindCpuTraps(std::vector<CpuUse>{{"a", "0-3", 2, 4}, {"a", "0-3", 2, 4}}).empty());
  EXPECT_TRUE(FindCpuTraps(std::vector<CpuUse>{{"a", "0", 1, 2}, {"a", "1", 1, 2}}).empty());
  EXPECT_TRUE(FindCpuTraps(std::vector<CpuUse>{{"a", "0-63", 64, 0}}).empty());
  // Slurm's mask is an allocation: the rest of the machine is another's.
  EXPECT_TRUE(FindCpuTraps(std::vector<CpuUse>{{"a", "4-5", 2, 0}}).empty());
}

TEST(FindCpuTraps, MoreRanksThanCpus) {
  const std::string trap =
      OneTrap({{"a", "0-1", 1, 2}, {"a", "0-1", 1, 2}, {"a", "0-1", 1, 2}, {"b", "0-1", 2, 2}});
  EXPECT_EQ(
      trap,
      "ranks 0-2 on a start 3 threads on 2 CPUs (0-1): they take turns. Start fewer ranks, or "
      "set a smaller `threads` (0: as many as there are CPUs).");
}

// What mpirun does by itself with one or two ranks: each is bound to a core.
TEST(FindCpuTraps, ThreadsOfARankThatIsBoundToACore) {
  const std::string trap = OneTrap({{"a", "0", 4, 8}, {"a", "1", 4, 8}});
  EXPECT_EQ(trap,
            "ranks 0, 1 on a start 8 threads on 2 CPUs (0-1): they take turns. mpirun bound them: "
            "start with --bind-to none, or --map-by slot:PE=4, or set threads: 0.");
}

TEST(FindCpuTraps, CpusThatTheBindingLeavesIdle) {
  const std::string trap = OneTrap({{"a", "0,2", 2, 64}});
  EXPECT_EQ(
      trap,
      "rank 0 on a is bound to 2 of 64 CPUs (0,2) by mpirun, the others stay idle. Start with "
      "--bind-to none (and threads: 0) to use them.");
}

TEST(FindCpuTraps, OnlyTheCpusThatAreCrowdedAreNamed) {
  const std::string trap = OneTrap({{"a", "0-1", 2, 0}, {"a", "4", 1, 0}, {"a", "4", 1, 0}});
  EXPECT_TRUE(trap.starts_with("ranks 1, 2 on a start 2 threads on 1 CPU (4):")) << trap;
}

TEST(FindCpuTraps, HostsAreApart) {
  EXPECT_EQ(FindCpuTraps(std::vector<CpuUse>{{"a", "0", 2, 0}, {"b", "0", 2, 0}}).size(), 2U);
  EXPECT_TRUE(FindCpuTraps(std::vector<CpuUse>{{"a", "0", 1, 0}, {"b", "0", 1, 0}}).empty());
}

TEST(FindCpuTraps, TheSameOnAllRanks) {
  RunThreadWorld(3, [](World& world) {
    const auto traps = FindCpuTraps(*world.control, 1000);
    ASSERT_EQ(traps.size(), 1U);
    EXPECT_TRUE(traps[0].starts_with("ranks 0-2 on ")) << traps[0];
    EXPECT_NE(traps[0].find("3000 threads"), std::string::npos) << traps[0];
  });
}

TEST(CheckSameProgram, ThreadsOfOneProcessRunTheSame) {
  RunThreadWorld(3, [](World& world) { CheckSameProgram(*world.control); });
}

class SharedFolder : public testing::Test {
 protected:
  SharedFolder() {
    fs::create_directories(folder_ / "one");
    fs::create_directories(folder_ / "other");
  }
  const TempFolder folder_;
};

TEST_F(SharedFolder, IsSeenByAll) {
  RunThreadWorld(3, [&](World& world) {
    CheckSharedFolder(*world.control, folder_ / "one");
    world.control->Barrier();
  });
  EXPECT_TRUE(fs::is_empty(folder_ / "one")) << "something was left behind";
}

TEST_F(SharedFolder, ThatIsAnotherOneOnSomeRanksIsRefused) {
  // As a leftover of another run on a node's own disk.
  std::ofstream(folder_ / "other/.preflight") << "1 2\n";
  try {
    RunThreadWorld(4, [&](World& world) {
      const bool here = world.rank() < 2;
      CheckSharedFolder(*world.control, folder_ / (here ? "one" : "other"));
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_TRUE(error.on_all_ranks());
    const std::string text = error.what();
    EXPECT_NE(text.find("is not seen by ranks 2, 3 on "), std::string::npos) << text;
    EXPECT_NE(text.find("preflight.shared_output: false"), std::string::npos) << text;
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "one"));
}

TEST_F(SharedFolder, ThatCannotBeWrittenIsRankZerosError) {
  EXPECT_THROW(
      RunThreadWorld(2, [&](World& world) { CheckSharedFolder(*world.control, folder_ / "none"); }),
      Error);
}

TEST(ProbeAllReduce, MeasuresTheSameOnAllRanks) {
  RunThreadWorld(3, [](World& world) {
    const AllReduceProbe probe = ProbeAllReduce(world, 100'003, 0.001);
    EXPECT_EQ(probe.num_bytes, 100'000);
    EXPECT_GE(probe.repeats, 3);
    EXPECT_GT(probe.seconds, 0);
    const double same = probe.seconds;
    double both[2] = {same, -same};
    world.control->AllReduce(std::span<double>(both), ReduceOp::kMax);
    EXPECT_EQ(both[0], -both[1]);
    world.Close();
  });
}

TEST(ProbeAllReduce, CountsAsNcclTestsDo) {
  const AllReduceProbe probe{
      .world_size = 4, .backend = "mpi", .num_bytes = 16 << 20, .repeats = 9, .seconds = 0.004};
  EXPECT_NEAR(probe.BusGbPerSecond(), (16 << 20) / 0.004 * 1.5 / 1e9, 1e-9);
  EXPECT_NEAR(probe.SecondsFor(int64_t{160} << 20), 0.04, 1e-12);
  EXPECT_EQ(Describe(probe, int64_t{160} << 20),
            "all-reduce of 16.0 MiB over 4 ranks (mpi): 4 ms (median of 9), bus bandwidth 6.29 "
            "GB/s; the gradients of a step, 160.0 MiB, take 0.04 s where nothing hides them");
}

}  // namespace
}  // namespace breakeven
