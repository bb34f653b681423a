// Pure. The shared_memory_ back end itself; made by MakeSharedMemoryCommunicator (shared_memory_communicator.h), which says
// what it promises.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_EXCHANGE_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_EXCHANGE_H_

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/shared_memory_communicator.h"
#include "comm/shared_memory_fold.h"
#include "comm/shared_memory_meeting.h"
#include "comm/shared_memory_queue.h"
#include "comm/shared_memory_window.h"

namespace breakeven {

inline void Copy(void* to, const void* from, int64_t num_bytes) {
  if (to != from && num_bytes > 0) std::memcpy(to, from, static_cast<size_t>(num_bytes));
}

// Calls visit(begin, size) for pieces of `total`.
inline void ForPieces(int64_t total, int64_t piece, const auto& visit) {
  for (int64_t begin = 0; begin < total; begin += piece) {
    visit(begin, std::min(piece, total - begin));
  }
}

// What is where in every rank's staging segment: the meeting page and the queue (only the first rank's are used), two small
// slots, two pieces.
struct StagingLayout {
  int64_t queue_begin = 0;
  int64_t small_begin = 0;
  int64_t pieces_begin = 0;
  int64_t piece_bytes = 0;
  int64_t num_bytes = 0;
};
StagingLayout MakeStagingLayout(int local_size, bool one_node);

class SharedMemoryExchange final : public Communicator {
 public:
  SharedMemoryExchange(SharedMemorySetup setup, std::vector<int> node_ranks, SegmentSource source,
                       SharedBlock staging, WaitPolicy policy);

  int rank() const override { return setup_.control->rank(); }
  int world_size() const override { return setup_.control->world_size(); }
  std::string_view name() const override { return "shared_memory"; }
  void Abort(std::string_view reason) noexcept override;
  void Progress() override { queue_.Progress(); }
  bool starts_wait() const override { return !one_node(); }

 protected:
  Memory DoAllocate(int64_t num_bytes) override;
  Memory DoAllocateShared(int64_t num_bytes) override;
  void DoAllReduce(Buffer inout, ReduceOp op, Stream stream) override;
  void DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream) override;
  void DoAllGather(Buffer in, Buffer out, Stream stream) override;
  void DoStartReduceScatter(Buffer inout, ReduceOp op, PieceDone done) override;
  void DoStartAllGather(Buffer inout) override;
  void DoComplete() override { queue_.Complete(); }
  void DoBroadcast(Buffer inout, int root, Stream stream) override;
  void DoBarrier() override;
  void DoClose() override;

 private:
  bool one_node() const { return setup_.across == nullptr && setup_.flat == nullptr; }
  int local_size() const { return static_cast<int>(node_ranks_.size()); }

  Post MakePost(Collective collective, const Buffer& buffer, ReduceOp op, int root = 0);
  // After a meeting: whether all ranks of the node have come with memory of one block, and where it lies, in bases_.
  bool FindAll(const Post& own);
  char* Staged(int local_rank, int64_t offset) const {
    return staging_.base(static_cast<size_t>(local_rank)) + offset;
  }
  // Whether calls on this buffer can go through the queue: the same answer on all ranks.
  bool CanStart(const Buffer& inout) const;
  // Where the buffers of a started call lie, in bases_.
  void FindStarted(const std::vector<Post>& posts);
  // The pieces are used in turn, so that one is written while others still read the one before.
  int64_t NextPiece();
  int64_t SliceBegin(int64_t count, int slice) const;

  // This rank's slice of `count` elements, from all of inputs_ to all of outputs_.
  void ReduceSlice(DType dtype, ReduceOp op, int64_t count);
  void ReduceSmall(const Post& post, char* inout, ReduceOp op);
  void ReduceWindow(const Post& post, ReduceOp op);
  // Room for a node's sums on their way to the others.
  void* Partial(int64_t num_bytes);
  void ScatterWindow(const Post& post, ReduceOp op, const Buffer& out);
  void ScatterOverNodes(const Post& post, ReduceOp op, const Buffer& in, const Buffer& out);
  // Up to a piece of plain memory; `out` may be null where this rank does not want the result.
  void ReduceStaged(const Post& post, ReduceOp op, const char* in, char* out, int64_t count);

  SharedMemorySetup setup_;
  std::vector<int> node_ranks_;
  int local_rank_;
  int num_slices_;  // ranks of the node that reduce; over nodes, as many on each
  SegmentSource source_;
  StagingLayout layout_;
  SharedBlock staging_;
  MeetingPage page_;         // lies in staging_
  SharedMemoryQueue queue_;  // likewise
  std::shared_ptr<BlockTable> blocks_ = std::make_shared<BlockTable>();
  std::shared_ptr<std::atomic<int>> num_live_ = std::make_shared<std::atomic<int>>(0);
  int32_t num_allocated_ = 0;
  bool has_warned_ = false;
  uint32_t num_calls_ = 0;
  int piece_turn_ = 0;
  StoreChoice store_choice_;
  Memory partial_;
  std::vector<std::vector<int>> ranks_of_;  // by node
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::vector<char*> bases_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_EXCHANGE_H_
