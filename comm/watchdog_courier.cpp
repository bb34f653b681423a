// Pure.
#include "comm/watchdog_courier.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

namespace breakeven {
namespace {

constexpr size_t kCouriersPerNode = 2;
constexpr std::chrono::milliseconds kInterval{50};

template <typename T>
void Put(std::string& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <typename T>
bool Take(std::string_view& bytes, T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return true;
}

}  // namespace

// Nodes run the same program, so its own bytes are the format.
struct Courier::Message {
  int32_t node = -1;  // the sender's
  AlarmCause cause;
  std::vector<RankReport> reports;  // empty: the alarm alone

  std::string Pack() const {
    std::string bytes;
    Put(bytes, node);
    Put(bytes, cause);
    for (const RankReport& report : reports) Put(bytes, report);
    return bytes;
  }

  static std::optional<Message> Unpack(std::string_view bytes) {
    Message message;
    if (!Take(bytes, message.node) || !Take(bytes, message.cause)) return std::nullopt;
    for (RankReport report; Take(bytes, report);) message.reports.push_back(report);
    return bytes.empty() ? std::optional(message) : std::nullopt;
  }
};

CourierPlan::CourierPlan(std::vector<int> node_of_rank) : node_of_rank_(std::move(node_of_rank)) {
  const auto num_ranks = static_cast<int>(node_of_rank_.size());
  for (int rank = 0; rank < num_ranks; ++rank) {
    const auto node = static_cast<size_t>(node_of(rank));
    if (couriers_.size() <= node) couriers_.resize(node + 1);
    if (couriers_[node].size() < kCouriersPerNode) couriers_[node].push_back(rank);
  }
}

bool CourierPlan::is_courier(int rank) const {
  const std::vector<int>& own = couriers(node_of(rank));
  return std::find(own.begin(), own.end(), rank) != own.end();
}

std::vector<int> CourierPlan::CouriersOfFirst(int num_nodes) const {
  std::vector<int> ranks;
  for (int node = 0; node < num_nodes; ++node) {
    ranks.insert(ranks.end(), couriers(node).begin(), couriers(node).end());
  }
  return ranks;
}

Courier::Courier(CourierPlan plan, int rank, std::unique_ptr<HeartbeatLink> link,
                 std::function<void(const AlarmCause&)> on_alarm)
    : plan_(std::move(plan)), rank_(rank), link_(std::move(link)), on_alarm_(std::move(on_alarm)) {
  if (plan_.is_courier(rank_)) thread_ = std::thread([this] { Run(); });
}

Courier::~Courier() { EndThread(); }

void Courier::EndThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Courier::Close() {
  EndThread();
  link_->Close();
}

void Courier::Post(const std::vector<int>& to, const Message& message) {
  const std::string bytes = message.Pack();
  const std::lock_guard lock(mutex_);
  for (const int rank : to) {
    if (rank != rank_) outbox_.emplace_back(rank, bytes);
  }
  changed_.notify_all();
}

void Courier::Alarm(const AlarmCause& cause) {
  // A post does not leave it to the others, which may be lost.
  Post(plan_.is_post(rank_) ? plan_.all_couriers() : plan_.posts(),
       {plan_.node_of(rank_), cause, {}});
}

void Courier::Publish(const AlarmCause& cause, const std::vector<RankReport>& reports) {
  Post(plan_.posts(), {plan_.node_of(rank_), cause, reports});
}

std::map<int, std::vector<RankReport>> Courier::Collect(std::chrono::milliseconds patience) {
  const size_t num_others = static_cast<size_t>(plan_.num_nodes() - 1);
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return published_.size() >= num_others; });
  changed_.wait_for(lock, 2 * patience, [&] { return published_.size() >= heard_.size(); });
  return published_;
}

void Courier::Run() {
  ::pthread_setname_np(::pthread_self(), "be-watch-mail");
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto letters = std::exchange(outbox_, {});
    lock.unlock();
    try {
      for (const auto& [rank, bytes] : letters) link_->Send(rank, bytes);
      while (const std::optional<std::string> bytes = link_->Receive()) {
        if (const std::optional<Message> message = Message::Unpack(*bytes)) Handle(*message);
      }
    } catch (const std::bad_alloc&) {
      // As in Watchdog::Run: the rank that has no memory is about to say so. A letter that is lost
      // with it is one of a job that ends; the others' deadlines do without.
    }
    lock.lock();
    changed_.wait_for(lock, kInterval, [&] { return stop_ || !outbox_.empty(); });
  }
}

void Courier::Handle(const Message& message) {
  const int own_node = plan_.node_of(rank_);
  if (message.node != own_node) {
    const std::lock_guard lock(mutex_);
    heard_.insert(message.node);
    if (!message.reports.empty()) published_[message.node] = message.reports;
    changed_.notify_all();
  }
  if (alarm_answered_) return;
  alarm_answered_ = true;
  on_alarm_(message.cause);
  Alarm(message.cause);  // passes it on, and is the word that this node is there
}

}  // namespace breakeven
