// Pure.
#include "trainer/block_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

#include "comm/base/aligned_mapping.h"
#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr size_t kAlignment = 64;

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

BlockArena::BlockArena(size_t capacity_bytes) {
  const size_t bytes = RoundUp(capacity_bytes, kHugePageBytes);
  void* memory = MapAligned(bytes, kHugePageBytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  if (memory == nullptr) return;
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // only advice
  begin_ = end_ = reinterpret_cast<Address>(memory);
  capacity_ = begin_ + bytes;
}

BlockArena::~BlockArena() {
  if (capacity_ > begin_) ::munmap(reinterpret_cast<void*>(begin_), capacity_ - begin_);
}

void* BlockArena::Take(size_t bytes) {
  const size_t size = RoundUp(std::max<size_t>(bytes, 1), kAlignment);
  const std::lock_guard lock(mutex_);
  Address block = 0;
  if (const auto fit = free_by_size_.lower_bound({size, 0}); fit != free_by_size_.end()) {
    const auto [free_size, begin] = *fit;
    RemoveFree(begin, free_size);
    if (free_size > size) AddFree(begin + size, free_size - size);
    block = begin;
  } else {
    // A free block at the end is the beginning of the new one.
    block = end_;
    if (!free_.empty()) {
      const auto [begin, free_size] = *std::prev(free_.end());
      if (begin + free_size == end_) block = begin;
    }
    if (capacity_ - block < size) return nullptr;
    if (block != end_) RemoveFree(block, end_ - block);
    end_ = block + size;
  }
  used_.emplace(block, size);
  used_bytes_ += size;
  return reinterpret_cast<void*>(block);
}

void BlockArena::Give(void* block) {
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(reinterpret_cast<Address>(block));
  BE_CHECK(found != used_.end(), "a block of this arena");
  const auto [begin, size] = *found;
  used_.erase(found);
  used_bytes_ -= size;
  AddFree(begin, size);
}

bool BlockArena::Owns(const void* block) const {
  const auto address = reinterpret_cast<Address>(block);
  return address >= begin_ && address < capacity_;
}

size_t BlockArena::reserved_bytes() const {
  const std::lock_guard lock(mutex_);
  return end_ - begin_;
}

size_t BlockArena::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_;
}

void BlockArena::AddFree(Address begin, size_t bytes) {
  const auto next = free_.lower_bound(begin);
  if (next != free_.begin()) {
    const auto [before, size] = *std::prev(next);
    if (before + size == begin) {
      RemoveFree(before, size);
      begin = before;
      bytes += size;
    }
  }
  if (const auto after = free_.find(begin + bytes); after != free_.end()) {
    const auto [address, size] = *after;
    RemoveFree(address, size);
    bytes += size;
  }
  free_.emplace(begin, bytes);
  free_by_size_.emplace(bytes, begin);
}

void BlockArena::RemoveFree(Address begin, size_t bytes) {
  free_.erase(begin);
  free_by_size_.erase({bytes, begin});
}

}  // namespace breakeven
