#include "comm/thread_communicator.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "comm/base/log.h"
#include "comm/buffer_check.h"
#include "comm/host_memory.h"
#include "comm/reduce.h"

namespace breakeven {
namespace {

void Copy(void* to, const void* from, int64_t num_bytes) {
  if (to != from && num_bytes > 0) std::memcpy(to, from, static_cast<size_t>(num_bytes));
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadHub> hub, int rank)
      : hub_(std::move(hub)), rank_(rank), inputs_(static_cast<size_t>(hub_->world_size())) {}

  int rank() const override { return rank_; }
  int world_size() const override { return hub_->world_size(); }
  std::string_view name() const override { return "thread"; }

  Memory DoAllocate(int64_t num_bytes) override {
    hub_->Meet(rank_, {.collective = "Allocate", .count = num_bytes});
    hub_->Part();
    return AllocateHostMemory(num_bytes, &live_blocks_);
  }

  Memory DoAllocateShared(int64_t num_bytes) override {
    std::shared_ptr<Memory> block;
    if (rank_ == 0) block = std::make_shared<Memory>(AllocateHostMemory(num_bytes, nullptr));
    const auto posts =
        hub_->Meet(rank_, {.collective = "AllocateShared", .data = &block, .count = num_bytes});
    if (rank_ != 0) block = *static_cast<std::shared_ptr<Memory>*>(posts[0].data);
    hub_->Part();
    ++live_blocks_;
    return Memory(block->data(), num_bytes, [block, this]() mutable {
      block.reset();
      --live_blocks_;
    });
  }

  // Each rank reduces the slice of its number and writes it to all: no two ranks touch one address.
  void DoAllReduce(Buffer inout, ReduceOp op, Stream) override {
    CheckHostBuffer(inout);
    const auto posts = hub_->Meet(rank_, MakePost("AllReduce", inout, op));
    const int64_t begin = SliceBegin(inout.count, rank_);
    const int64_t size = SliceBegin(inout.count, rank_ + 1) - begin;
    const int64_t offset = begin * SizeOf(inout.dtype);
    GatherInputs(posts, offset);
    ReduceInOrder(inout.dtype, op, inputs_, At(inout, begin), size);
    for (const auto& post : posts) {
      Copy(static_cast<char*>(post.data) + offset, At(inout, begin), size * SizeOf(inout.dtype));
    }
    hub_->Part();
  }

  void DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream) override {
    CheckParts(in, out, world_size());
    const auto posts = hub_->Meet(rank_, MakePost("ReduceScatter", in, op));
    GatherInputs(posts, rank_ * out.count * SizeOf(in.dtype));
    ReduceInOrder(in.dtype, op, inputs_, out.data, out.count);
    hub_->Part();
  }

  void DoAllGather(Buffer in, Buffer out, Stream) override {
    CheckParts(out, in, world_size());
    const auto posts = hub_->Meet(rank_, MakePost("AllGather", in, ReduceOp::kSum));
    for (size_t r = 0; r < posts.size(); ++r) {
      Copy(At(out, static_cast<int64_t>(r) * in.count), posts[r].data, in.count * SizeOf(in.dtype));
    }
    hub_->Part();
  }

  void DoBroadcast(Buffer inout, int root, Stream) override {
    CheckHostBuffer(inout);
    BE_CHECK(root >= 0 && root < world_size(), "root " + std::to_string(root));
    ThreadHub::Post post = MakePost("Broadcast", inout, ReduceOp::kSum);
    post.root = root;
    const auto posts = hub_->Meet(rank_, post);
    Copy(inout.data, posts[static_cast<size_t>(root)].data, inout.count * SizeOf(inout.dtype));
    hub_->Part();
  }

  void DoBarrier() override {
    hub_->Meet(rank_, {.collective = "Barrier"});
    hub_->Part();
  }

  void Abort(std::string_view reason) noexcept override {
    try {
      if (!reason.empty()) LogError(reason);
      hub_->Poison("rank " + std::to_string(rank_) + " aborted: " + std::string(reason));
    } catch (...) {
      std::terminate();
    }
  }

  void DoClose() override {
    BE_CHECK(live_blocks_ == 0, std::to_string(live_blocks_) + " blocks of memory still in use");
    DoBarrier();
  }

 private:
  static ThreadHub::Post MakePost(const char* collective, const Buffer& buffer, ReduceOp op) {
    return {.collective = collective,
            .data = buffer.data,
            .count = buffer.count,
            .dtype = buffer.dtype,
            .op = op};
  }

  // Slices start on cache lines, so that ranks do not write to the same one.
  int64_t SliceBegin(int64_t count, int rank) const {
    constexpr int64_t kUnit = 64;
    const int64_t units = (count + kUnit - 1) / kUnit;
    const int64_t per_rank = (units + world_size() - 1) / world_size();
    return std::min(count, per_rank * rank * kUnit);
  }

  void GatherInputs(std::span<const ThreadHub::Post> posts, int64_t offset_bytes) {
    for (size_t r = 0; r < posts.size(); ++r) {
      inputs_[r] = static_cast<const char*>(posts[r].data) + offset_bytes;
    }
  }

  std::shared_ptr<ThreadHub> hub_;
  int rank_;
  std::atomic<int> live_blocks_{0};
  std::vector<const void*> inputs_;
};

}  // namespace

std::unique_ptr<Communicator> MakeThreadCommunicator(std::shared_ptr<ThreadHub> hub, int rank) {
  return std::make_unique<ThreadCommunicator>(std::move(hub), rank);
}

}  // namespace breakeven
