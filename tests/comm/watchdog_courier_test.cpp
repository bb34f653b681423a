// How watchdogs of several nodes tell each other, over a network that the test can cut.
#include "comm/watchdog_courier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace breakeven {
namespace {

using std::chrono::milliseconds;

class Network {
 public:
  void Send(int from, int to, const std::string& message) {
    const std::lock_guard lock(mutex_);
    if (lost_.count(from) == 0 && lost_.count(to) == 0) boxes_[to].push_back(message);
  }
  std::optional<std::string> Receive(int rank) {
    const std::lock_guard lock(mutex_);
    auto& box = boxes_[rank];
    if (box.empty()) return std::nullopt;
    std::string message = box.front();
    box.pop_front();
    return message;
  }
  void Lose(int rank) {
    const std::lock_guard lock(mutex_);
    lost_.insert(rank);
  }

 private:
  std::mutex mutex_;
  std::map<int, std::deque<std::string>> boxes_;
  std::set<int> lost_;
};

class TestLink final : public HeartbeatLink {
 public:
  TestLink(Network& network, int rank) : network_(network), rank_(rank) {}
  void Send(int rank, const std::string& message) override { network_.Send(rank_, rank, message); }
  std::optional<std::string> Receive() override { return network_.Receive(rank_); }
  void Close() override {}

 private:
  Network& network_;
  int rank_;
};

TEST(CourierPlan, TwoRanksOfANodeAndFourNodesOfPosts) {
  const CourierPlan plan({0, 0, 0, 1, 2, 2, 3, 4, 4, 5});
  EXPECT_EQ(plan.num_nodes(), 6);
  EXPECT_EQ(plan.couriers(0), (std::vector<int>{0, 1}));
  EXPECT_EQ(plan.couriers(1), (std::vector<int>{3}));
  EXPECT_FALSE(plan.is_courier(2));
  EXPECT_EQ(plan.posts(), (std::vector<int>{0, 1, 3, 4, 5, 6}));
  EXPECT_TRUE(plan.is_courier(7) && !plan.is_post(7));
  EXPECT_EQ(plan.all_couriers(), (std::vector<int>{0, 1, 3, 4, 5, 6, 7, 8, 9}));
}

// Six nodes of one rank each: 0-3 are posts, 4 and 5 are not.
class Couriers : public testing::Test {
 protected:
  static constexpr int kRanks = 6;

  Couriers() {
    for (int rank = 0; rank < kRanks; ++rank) {
      couriers_.push_back(std::make_unique<Courier>(CourierPlan({0, 1, 2, 3, 4, 5}), rank,
                                                    std::make_unique<TestLink>(network_, rank),
                                                    [this, rank](const AlarmCause& cause) {
                                                      EXPECT_EQ(cause.about, 5);
                                                      ++alarms_[static_cast<size_t>(rank)];
                                                    }));
    }
  }

  void WaitForAlarms(const std::set<int>& at) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto all = [&] {
      return std::all_of(at.begin(), at.end(),
                         [&](int r) { return alarms_[static_cast<size_t>(r)] > 0; });
    };
    while (!all() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    for (const int rank : at) EXPECT_EQ(alarms_[static_cast<size_t>(rank)], 1) << "rank " << rank;
  }

  static std::vector<RankReport> ReportOf(int rank) {
    RankReport report;
    report.rank = rank;
    report.life = Life::kRunning;
    report.heartbeat.step = 10 + rank;
    return {report};
  }

  Courier& at(int rank) { return *couriers_[static_cast<size_t>(rank)]; }

  const AlarmCause cause_{.raised_by = 4, .about = 5, .seconds = 3, .limit = 2};
  Network network_;
  std::array<std::atomic<int>, kRanks> alarms_{};
  std::vector<std::unique_ptr<Courier>> couriers_;  // last: their threads use all of the above
};

TEST_F(Couriers, AnAlarmReachesAllNodesOnce) {
  at(4).Alarm(cause_);  // not a post: these pass it on
  WaitForAlarms({0, 1, 2, 3, 4, 5});
}

TEST_F(Couriers, TheOnlyPostThatIsLeftTellsAllNodes) {
  for (const int rank : {0, 1, 2}) network_.Lose(rank);
  at(3).Alarm(cause_);
  WaitForAlarms({4, 5});
  EXPECT_EQ(alarms_[0] + alarms_[1] + alarms_[2], 0);
}

TEST_F(Couriers, ReportsReachThePosts) {
  at(5).Alarm(cause_);
  WaitForAlarms({0, 1, 2, 3, 4});
  for (int rank = 0; rank < kRanks; ++rank) at(rank).Publish(cause_, ReportOf(rank));
  for (const int post : {0, 3}) {
    const auto published = at(post).Collect(milliseconds(5000));
    ASSERT_EQ(published.size(), 5U) << "rank " << post;
    for (const auto& [node, reports] : published) {
      ASSERT_EQ(reports.size(), 1U);
      EXPECT_EQ(reports[0].rank, node);
      EXPECT_EQ(reports[0].heartbeat.step, 10 + node);
    }
  }
}

TEST_F(Couriers, SilenceEndsTheWaiting) {
  network_.Lose(1);
  network_.Lose(5);
  at(4).Alarm(cause_);
  WaitForAlarms({0, 2, 3, 4});
  for (int rank = 0; rank < kRanks; ++rank) at(rank).Publish(cause_, ReportOf(rank));
  const auto published = at(0).Collect(milliseconds(300));
  EXPECT_EQ(published.size(), 3U);
  EXPECT_EQ(published.count(1) + published.count(5), 0U);
}

}  // namespace
}  // namespace breakeven
