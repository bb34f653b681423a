// Pure.
#include "comm/host_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "comm/base/aligned_mapping.h"
#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr int64_t kCacheLine = 64;
constexpr auto kHugePage = static_cast<int64_t>(kHugePageBytes);
constexpr int64_t kMostBytes = int64_t{1} << 46;  // nobody has 64 TiB: a size beyond is a mistake

int64_t RoundUp(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// null where the system refuses.
void* AllocateSmall(int64_t bytes) {
  void* data = std::aligned_alloc(kCacheLine, static_cast<size_t>(bytes));
  if (data != nullptr) std::memset(data, 0, static_cast<size_t>(bytes));
  return data;
}

// Whole huge pages; null where the system refuses.
void* MapLarge(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* data = MapAligned(size, kHugePageBytes, PROT_READ | PROT_WRITE);
  // Only advice: a system without huge pages refuses it and loses nothing but speed.
  if (data != nullptr) ::madvise(data, size, MADV_HUGEPAGE);
  return data;
}

}  // namespace

Memory AllocateHostMemory(int64_t num_bytes, std::atomic<int>* live_blocks) {
  BE_CHECK(num_bytes >= 0, "size " + std::to_string(num_bytes));
  const bool large = num_bytes >= 2 * kHugePage;
  const int64_t wanted = std::clamp(num_bytes, kCacheLine, kMostBytes);
  const int64_t rounded = RoundUp(wanted, large ? kHugePage : kCacheLine);
  void* data = nullptr;
  if (num_bytes <= kMostBytes) data = large ? MapLarge(rounded) : AllocateSmall(rounded);
  if (data == nullptr) {
    throw Error(ErrorKind::kMachine,
                "not enough memory: " + std::to_string(num_bytes) +
                    " bytes in one block were refused. Use fewer ranks per machine, a smaller "
                    "model or smaller batches, or check `ulimit -v`.");
  }
  if (live_blocks != nullptr) ++*live_blocks;
  return Memory(data, num_bytes, [data, large, rounded, live_blocks] {
    if (large) {
      ::munmap(data, static_cast<size_t>(rounded));
    } else {
      std::free(data);
    }
    if (live_blocks != nullptr) --*live_blocks;
  });
}

bool HasSeveralNumaNodes() {
  std::ifstream file("/sys/devices/system/node/has_memory");
  std::string nodes;  // "0", "0-1", "0,2"; nothing where the kernel does not say
  file >> nodes;
  return nodes.find_first_of(",-") != std::string::npos;
}

}  // namespace breakeven
