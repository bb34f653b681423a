// Who holds a job up: the judgement alone, on reports that are made up.
#include "comm/culprit.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace breakeven {
namespace {

// Ranks that have all begun and finished `done` data collectives and wait inside the next one, on nodes of two.
class Culprit : public testing::Test {
 protected:
  explicit Culprit(int num_ranks = 6) {
    for (int rank = 0; rank < num_ranks; ++rank) {
      RankReport report;
      report.rank = rank;
      report.life = Life::kRunning;
      report.seconds_without_progress = 60;
      report.heartbeat.phase = Phase::kStep;
      report.heartbeat.step = 7;
      report.heartbeat.pid = 4000 + rank;
      report.heartbeat.planes[1] = {
          .begun = 18, .done = 17, .num_bytes = 16 << 20, .collective = Collective::kAllReduce};
      reports_.push_back(report);
      hosts_.push_back("node0" + std::to_string(rank / 2));
    }
  }

  RankReport& at(int rank) { return reports_[static_cast<size_t>(rank)]; }
  PlaneStatus& data(int rank) { return at(rank).heartbeat.planes[1]; }
  PlaneStatus& control(int rank) { return at(rank).heartbeat.planes[0]; }
  void Leave(int rank, uint64_t collectives) { data(rank).begun = data(rank).done = collectives; }

  void Expect(const std::vector<int>& culprits, const std::string& text) {
    const CulpritVerdict verdict = FindCulprit(reports_, hosts_);
    EXPECT_EQ(verdict.culprits, culprits) << verdict.text;
    EXPECT_EQ(verdict.text, text);
  }

  std::vector<RankReport> reports_;
  std::vector<std::string> hosts_;
};

TEST_F(Culprit, IsTheOneThatIsBehind) {
  Leave(5, 16);
  at(5).heartbeat.phase = Phase::kInput;
  Expect({5},
         "rank 5 on node02 is in phase input, 2 collectives behind, without progress for 60 s");
}

TEST_F(Culprit, IsTheFurthestBehindOfSeveral) {
  Leave(1, 17);
  Leave(4, 15);
  Expect({4}, "rank 4 on node02 is in phase step, 3 collectives behind, without progress for 60 s");
}

TEST_F(Culprit, MayBeSeveralAtOnce) {
  for (const int rank : {0, 1, 2}) {
    Leave(rank, 17);
    at(rank).heartbeat.phase = Phase::kCheckpoint;
  }
  Expect({0, 1, 2},
         "ranks 0, 1 on node00; rank 2 on node01 are in phase checkpoint, 1 collective behind, "
         "without progress for 60 s");
}

TEST_F(Culprit, CountsBothPlanes) {
  for (int rank = 0; rank < 6; ++rank) {
    Leave(rank, 18);
    control(rank) = {.begun = 3, .done = 2, .collective = Collective::kAllGather};
  }
  control(3) = {.begun = 2, .done = 2};
  Leave(3, 17);
  Expect({3}, "rank 3 on node01 is in phase step, 2 collectives behind, without progress for 60 s");
}

TEST_F(Culprit, IsTheDeadRankBeforeAllOthers) {
  at(2).life = Life::kDead;
  at(4).life = Life::kStopped;
  Leave(5, 3);
  Leave(2, 17);
  Expect({2},
         "rank 2 on node01 has died: its process is gone; its last sign was in phase step, step 7, "
         "1 collective behind");
}

TEST_F(Culprit, IsTheStoppedRankAlsoInsideTheSameCollective) {
  at(4).life = Life::kStopped;
  at(4).seconds_silent = 61.4;
  Expect(
      {4},
      "rank 4 on node02 is stopped (SIGSTOP or a debugger): process 4004 has not run for 61 s; "
      "its last sign was in phase step, step 7, inside data AllReduce, call 17, of 16.0 MiB, not "
      "finished");
}

TEST_F(Culprit, IsTheFrozenRank) {
  at(0).life = Life::kFrozen;
  at(0).seconds_silent = 9;
  Leave(0, 17);
  Expect({0},
         "rank 0 on node00 is frozen: process 4000 has not run for 9 s; its last sign was in phase "
         "step, step 7, 1 collective behind");
}

TEST_F(Culprit, IsTheNodeThatDoesNotAnswer) {
  at(2) = {.rank = 2};
  at(3) = {.rank = 3};
  Expect({2, 3}, "ranks 2, 3 on node01 do not answer: the node or the network to it is gone");
}

TEST_F(Culprit, IsNobodyWhereAllWaitInTheSameCall) {
  Expect(
      {},
      "all 6 ranks are in phase step, inside data AllReduce, call 17, of 16.0 MiB, not finished: "
      "no rank is missing, what carries the data stands still");
}

TEST_F(Culprit, AreTwoThatCallDifferentCollectives) {
  data(3).collective = Collective::kBroadcast;
  Expect(
      {0, 3},
      "ranks do not call the same collective: rank 0 on node00 is in data AllReduce, call 17, of "
      "16.0 MiB, not finished; rank 3 on node01 is in data Broadcast, call 17, of 16.0 MiB, not "
      "finished");
}

TEST_F(Culprit, DifferentSizesAreDifferentCollectivesOfTheDataPlaneOnly) {
  for (int rank = 0; rank < 6; ++rank) {
    Leave(rank, 18);
    control(rank) = {
        .begun = 3, .done = 2, .num_bytes = rank, .collective = Collective::kAllGather};
  }
  EXPECT_TRUE(FindCulprit(reports_, hosts_).culprits.empty());
  data(1).done = data(2).done = 17;
  data(2).num_bytes = 8;
  EXPECT_EQ(FindCulprit(reports_, hosts_).culprits, (std::vector<int>{1, 2}));
}

TEST_F(Culprit, IsTheOneThatComputesWhereAllHaveCalledTheSameNumber) {
  Leave(1, 18);
  Expect({1}, "rank 1 on node00 is in phase step, without progress for 60 s");
}

TEST_F(Culprit, IsTheLongestStillWhereNobodyWaits) {
  for (int rank = 0; rank < 6; ++rank) {
    Leave(rank, 18);
    at(rank).seconds_without_progress = rank == 2 ? 30 : 4;
  }
  Expect({2}, "rank 2 on node01 is in phase step, without progress for 30 s");
}

TEST_F(Culprit, IsFoundInAJobOfOneRank) {
  reports_.resize(1);
  hosts_.resize(1);
  Leave(0, 18);
  at(0).heartbeat.phase = Phase::kInput;
  Expect({0}, "rank 0 on node00 is in phase input, without progress for 60 s");
}

TEST(ListRanks, JoinsRunsAndHosts) {
  const std::vector<std::string> hosts = {"a", "a", "a", "a", "b", "a", "b"};
  EXPECT_EQ(ListRanks(std::vector<int>{3}, hosts), "rank 3 on a");
  EXPECT_EQ(ListRanks(std::vector<int>{0, 1, 2, 4, 5, 6}, hosts),
            "ranks 0-2, 5 on a; ranks 4, 6 on b");
}

TEST(ListRanks, EndsWhereItGetsTooLong) {
  std::vector<std::string> hosts;
  std::vector<int> ranks;
  for (int i = 0; i < 20; ++i) {
    hosts.push_back("h" + std::to_string(i));
    ranks.push_back(i);
  }
  const std::string text = ListRanks(ranks, hosts);
  EXPECT_NE(text.find("rank 7 on h7; and ranks of 12 more hosts"), std::string::npos) << text;
}

}  // namespace
}  // namespace breakeven
