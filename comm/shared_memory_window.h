// Pure. Blocks of memory that all ranks of a node reach: one segment of every rank, mapped by all.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_WINDOW_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_WINDOW_H_

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/control.h"
#include "comm/shared_memory_segment.h"

namespace breakeven {

// By local rank: where each rank's segment lies in this process.
class SharedBlock {
 public:
  explicit SharedBlock(std::vector<SharedSegment> segments) : segments_(std::move(segments)) {}
  char* base(size_t local_rank) const { return static_cast<char*>(segments_[local_rank].data()); }
  int64_t num_bytes() const { return segments_.front().num_bytes(); }

 private:
  std::vector<SharedSegment> segments_;
};

struct WindowResult {
  std::optional<SharedBlock> block;  // on all ranks or on none
  std::string failure;               // why not: the same text on all ranks
};

// COLLECTIVE over `control`, which may span several nodes. `node_ranks`: the ranks of this node, ascending. A segment of
// `num_bytes` for every rank; nothing of it is left behind when a process dies, from the moment this returns (before, a
// file in /dev/shm may be).
WindowResult MakeWindow(Control& control, std::span<const int> node_ranks, SegmentSource source,
                        int64_t num_bytes);

// COLLECTIVE over `control`, whose ranks are of one node. One segment for all of them, made by rank 0 and filled by all.
// Nothing, on all ranks, where one of them cannot have it; `failure` then says why, the same on all.
std::optional<SharedSegment> MakeCommonSegment(Control& control, SegmentSource source,
                                               int64_t num_bytes, std::string* failure);

// The blocks that this rank holds, by number; numbers are given in order of allocation, so they are the same on all ranks.
// Blocks may be dropped on any thread.
class BlockTable {
 public:
  struct Place {
    int32_t block = -1;
    int64_t offset = 0;
  };
  void Add(int32_t number, size_t local_rank, SharedBlock block);
  void Drop(int32_t number, const void* base);
  int32_t size() const;
  // Of memory that lies in a block of this rank as a whole; else block -1.
  Place Find(const void* data, int64_t num_bytes) const;
  // Where the blocks of that number lie, by local rank. It must be one that this rank holds.
  void Bases(int32_t number, std::span<char*> bases) const;

 private:
  struct Entry {
    int32_t number;
    SharedBlock block;
  };
  mutable std::mutex mutex_;
  std::map<const char*, Entry> by_base_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_WINDOW_H_
