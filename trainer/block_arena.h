// Pure. Memory that is taken and given back over and over, kept, in huge pages.
#ifndef BREAKEVEN_TRAINER_BLOCK_ARENA_H_
#define BREAKEVEN_TRAINER_BLOCK_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace breakeven {

// Best fit with coalescing over one reserved stretch of address space that grows at its end. A step
// takes and gives back the same few hundred megabytes; from glibc each would come as fresh 4 KiB pages
// that the kernel clears first. Thread-safe.
class BlockArena {
 public:
  // Reserves `capacity_bytes` of addresses, which cost nothing until they are touched. Where the
  // system refuses (ulimit -v, strict overcommit) every Take gives nullptr.
  explicit BlockArena(size_t capacity_bytes);
  ~BlockArena();
  BlockArena(const BlockArena&) = delete;
  BlockArena& operator=(const BlockArena&) = delete;

  // 64-byte aligned and not cleared; nullptr when the arena is full.
  void* Take(size_t bytes);
  // Error(kInternal) for what Take did not give.
  void Give(void* block);
  bool Owns(const void* block) const;

  // For tests. Bytes up to the arena's present end: an upper bound of what it keeps resident.
  size_t reserved_bytes() const;
  size_t used_bytes() const;

 private:
  using Address = uintptr_t;
  void AddFree(Address begin, size_t bytes);  // joins neighbours
  void RemoveFree(Address begin, size_t bytes);

  mutable std::mutex mutex_;
  Address begin_ = 0;
  Address end_ = 0;       // of what was handed out so far
  Address capacity_ = 0;  // end of the reservation
  std::map<Address, size_t> used_;
  std::map<Address, size_t> free_;
  std::set<std::pair<size_t, Address>> free_by_size_;
  size_t used_bytes_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_BLOCK_ARENA_H_
