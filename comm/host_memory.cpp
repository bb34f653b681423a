// Pure.
#include "comm/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr int64_t kCacheLine = 64;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kMostBytes = int64_t{1} << 46;  // nobody has 64 TiB: a size beyond is a mistake

}  // namespace

Memory AllocateHostMemory(int64_t num_bytes, std::atomic<int>* live_blocks) {
  BE_CHECK(num_bytes >= 0, "size " + std::to_string(num_bytes));
  const bool huge = num_bytes >= 2 * kHugePage;
  const int64_t alignment = huge ? kHugePage : kCacheLine;
  const int64_t rounded =
      num_bytes > kMostBytes
          ? 0
          : (std::max(num_bytes, kCacheLine) + alignment - 1) / alignment * alignment;
  void* data = rounded == 0 ? nullptr
                            : std::aligned_alloc(static_cast<size_t>(alignment),
                                                 static_cast<size_t>(rounded));
  if (data == nullptr) {
    throw Error(ErrorKind::kMachine,
                "not enough memory: " + std::to_string(num_bytes) +
                    " bytes in one block were refused. Use fewer ranks per machine, a smaller "
                    "model or smaller batches, or check `ulimit -v`.");
  }
  // Only advice: a system without huge pages refuses it and loses nothing but speed.
  if (huge) ::madvise(data, static_cast<size_t>(rounded), MADV_HUGEPAGE);
  std::memset(data, 0, static_cast<size_t>(rounded));
  if (live_blocks != nullptr) ++*live_blocks;
  return Memory(data, num_bytes, [data, live_blocks] {
    std::free(data);
    if (live_blocks != nullptr) --*live_blocks;
  });
}

}  // namespace breakeven
