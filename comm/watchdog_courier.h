// Pure. How the watchdogs of several nodes tell each other: over a communicator of their own, in a thread of its own,
// so that whatever blocks in the network blocks no report.
#ifndef BREAKEVEN_COMM_WATCHDOG_COURIER_H_
#define BREAKEVEN_COMM_WATCHDOG_COURIER_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "comm/culprit.h"
#include "comm/heartbeat.h"

namespace breakeven {

// Carries messages between ranks without ever waiting for one. Used by one thread at a time.
class HeartbeatLink {
 public:
  HeartbeatLink() = default;
  virtual ~HeartbeatLink() = default;  // never communicates
  HeartbeatLink(const HeartbeatLink&) = delete;
  HeartbeatLink& operator=(const HeartbeatLink&) = delete;
  virtual void Send(
      int rank, const std::string& message) = 0;  // what does not arrive is silence, not an error
  virtual std::optional<std::string> Receive() = 0;  // what has arrived
  virtual void Close() = 0;                          // COLLECTIVE
};

// Who speaks for whom. Two ranks of each node are its couriers, so that one of them may be frozen; those of the first four
// nodes are also the posts where all reports go, so that any of these nodes may be lost.
class CourierPlan {
 public:
  explicit CourierPlan(std::vector<int> node_of_rank);
  int num_nodes() const { return static_cast<int>(couriers_.size()); }
  int node_of(int rank) const { return node_of_rank_[static_cast<size_t>(rank)]; }
  bool is_courier(int rank) const;
  bool is_post(int rank) const { return is_courier(rank) && node_of(rank) < kNumPostNodes; }
  const std::vector<int>& couriers(int node) const { return couriers_[static_cast<size_t>(node)]; }
  std::vector<int> posts() const { return CouriersOfFirst(std::min(num_nodes(), kNumPostNodes)); }
  std::vector<int> all_couriers() const { return CouriersOfFirst(num_nodes()); }

 private:
  static constexpr int kNumPostNodes = 4;
  std::vector<int> CouriersOfFirst(int num_nodes) const;
  std::vector<int> node_of_rank_;
  std::vector<std::vector<int>> couriers_;  // by node
};

class Courier {
 public:
  // `on_alarm` is called, in the courier's thread, when another node has raised the alarm.
  Courier(CourierPlan plan, int rank, std::unique_ptr<HeartbeatLink> link,
          std::function<void(const AlarmCause&)> on_alarm);
  ~Courier();  // ends the thread; never communicates

  // Each returns at once. Alarm: to the posts, which tell all nodes. Publish: what this node knows of its ranks.
  void Alarm(const AlarmCause& cause);
  void Publish(const AlarmCause& cause, const std::vector<RankReport>& reports);

  // What other nodes have published, by node. Waits `patience` for the first word of each, and for the reports of those that
  // have answered as long again twice.
  std::map<int, std::vector<RankReport>> Collect(std::chrono::milliseconds patience);

  void Close();  // COLLECTIVE

 private:
  struct Message;
  void Run();
  void Handle(const Message& message);
  void Post(const std::vector<int>& to, const Message& message);
  void EndThread();

  const CourierPlan plan_;
  const int rank_;
  const std::unique_ptr<HeartbeatLink> link_;
  const std::function<void(const AlarmCause&)> on_alarm_;
  bool alarm_answered_ = false;  // of the courier's thread

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::vector<std::pair<int, std::string>> outbox_;
  std::map<int, std::vector<RankReport>> published_;
  std::set<int> heard_;  // nodes from which anything has come
  std::thread thread_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_WATCHDOG_COURIER_H_
