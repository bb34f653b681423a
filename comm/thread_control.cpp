#include "comm/thread_control.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "comm/base/log.h"
#include "comm/reduce.h"

namespace breakeven {
namespace {

class ThreadControl final : public Control {
 public:
  ThreadControl(std::shared_ptr<ThreadHub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}

  int rank() const override { return rank_; }
  int world_size() const override { return hub_->world_size(); }
  int local_rank() const override { return rank_; }
  int local_size() const override { return world_size(); }
  int node_rank() const override { return 0; }
  int num_nodes() const override { return 1; }

  void DoAllReduce(std::span<int64_t> values, ReduceOp op) override {
    Reduce(values, DType::kInt64, op);
  }
  void DoAllReduce(std::span<double> values, ReduceOp op) override {
    Reduce(values, DType::kFloat64, op);
  }

  void DoBroadcast(std::string& text, int root) override {
    const auto posts =
        hub_->Meet(rank_, {.collective = "control Broadcast", .data = &text, .root = root});
    if (rank_ != root)
      text = *static_cast<const std::string*>(posts[static_cast<size_t>(root)].data);
    hub_->Part();
  }

  std::vector<std::string> DoAllGather(std::string_view text) override {
    std::string mine(text);
    std::vector<std::string> all;
    for (const auto& post : hub_->Meet(rank_, {.collective = "control AllGather", .data = &mine})) {
      all.push_back(*static_cast<const std::string*>(post.data));
    }
    hub_->Part();
    return all;
  }

  void DoBarrier() override {
    hub_->Meet(rank_, {.collective = "control Barrier"});
    hub_->Part();
  }

  [[noreturn]] void DoAbort(int exit_code, std::string_view reason) noexcept override {
    if (!reason.empty()) LogError(reason);
    ::_exit(exit_code);
  }

  std::unique_ptr<Control> Duplicate() override {
    return std::make_unique<ThreadControl>(hub_->Child(num_duplicates_++), rank_);
  }

  void DoClose() override { DoBarrier(); }

 private:
  template <typename T>
  void Reduce(std::span<T> values, DType dtype, ReduceOp op) {
    std::vector<T> result(values.size());
    std::vector<const void*> inputs;
    for (const auto& post : hub_->Meet(rank_, {.collective = "control AllReduce",
                                              .data = values.data(),
                                              .count = static_cast<int64_t>(values.size()),
                                              .dtype = dtype,
                                              .op = op})) {
      inputs.push_back(post.data);
    }
    ReduceInOrder(dtype, op, inputs, result.data(), static_cast<int64_t>(values.size()));
    hub_->Part();
    std::copy(result.begin(), result.end(), values.begin());
  }

  std::shared_ptr<ThreadHub> hub_;
  int rank_;
  size_t num_duplicates_ = 0;
};

}  // namespace

std::unique_ptr<Control> MakeThreadControl(std::shared_ptr<ThreadHub> hub, int rank) {
  return std::make_unique<ThreadControl>(std::move(hub), rank);
}

}  // namespace breakeven
