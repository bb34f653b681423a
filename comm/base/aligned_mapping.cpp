#include "comm/base/aligned_mapping.h"

#include <sys/mman.h>

#include <cstdint>

namespace breakeven {

void* MapAligned(size_t num_bytes, size_t alignment, int protection, int flags) {
  const size_t room = num_bytes + alignment;
  void* const raw = ::mmap(nullptr, room, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* const first = static_cast<char*>(raw);
  const size_t before = (alignment - reinterpret_cast<uintptr_t>(raw) % alignment) % alignment;
  if (before > 0) ::munmap(first, before);
  ::munmap(first + before + num_bytes, alignment - before);  // never nothing
  return first + before;
}

}  // namespace breakeven
