#include "trainer/caching_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "trainer/block_arena.h"

namespace breakeven {
namespace {

constexpr size_t kSmallest = size_t{64} << 10;
constexpr size_t kAlignment = 64;

BlockArena& Arena() {
  // Never destroyed: tensors in static storage may outlive everything.
  static BlockArena* const arena = new BlockArena(static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) *
                                                  static_cast<size_t>(::sysconf(_SC_PAGESIZE)));
  return *arena;
}

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes == 0 ? nullptr : Allocate(bytes);
    return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }

 private:
  static void* Allocate(size_t bytes) {
    void* data = bytes >= kSmallest ? Arena().Take(bytes) : nullptr;
    if (data == nullptr) {
      data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    }
    if (data == nullptr) throw std::bad_alloc();
    return data;
  }

  static void Free(void* data) {
    if (Arena().Owns(data)) {
      Arena().Give(data);
    } else {
      std::free(data);
    }
  }
};

}  // namespace

void InstallCachingAllocator() {
  static CachingAllocator* const allocator = [] {
    auto* made = new CachingAllocator;
    c10::SetCPUAllocator(made, /*priority=*/100);
    return made;
  }();
  static_cast<void>(allocator);
}

}  // namespace breakeven
