// Pure.
#include "trainer/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <cstring>

namespace breakeven {
namespace {

#if defined(__x86_64__)

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers CpuId(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

// XCR0: what the operating system saves. Written out: the intrinsic would need -mxsave.
uint64_t SavedState() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

// Linux saves the tiles, 8 KB a thread, only of processes that have asked (5.16 on).
bool MayUseTiles() {
  constexpr int kRequest = 0x1023,
                kTileData = 18;  // ARCH_REQ_XCOMP_PERM, younger than Debian 12's header
  return ::syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

CpuFeatures Detect() {
  CpuFeatures features;
  const Registers vendor = CpuId(0, 0);
  char name[12];
  std::memcpy(name, &vendor.ebx, 4);
  std::memcpy(name + 4, &vendor.edx, 4);
  std::memcpy(name + 8, &vendor.ecx, 4);
  features.is_intel = std::memcmp(name, "GenuineIntel", sizeof(name)) == 0;
  const auto has = [](uint32_t word, int bit) { return ((word >> bit) & 1) != 0; };
  if (!has(CpuId(1, 0).ecx, 27)) return features;  // no OSXSAVE: no state beyond SSE
  constexpr uint64_t kAvx512State = 0xe6, kTileState = 0x60000;
  const uint64_t saved = SavedState();
  const uint32_t word = CpuId(7, 0).ebx;  // F, BW, VL
  features.avx512 =
      (saved & kAvx512State) == kAvx512State && has(word, 16) && has(word, 30) && has(word, 31);
  features.avx512_bfloat16 = features.avx512 && has(CpuId(7, 1).eax, 5);
  features.amx_bfloat16 = (saved & kTileState) == kTileState && has(CpuId(7, 0).edx, 22) &&
                          has(CpuId(7, 0).edx, 24) && MayUseTiles();
  return features;
}

#else

CpuFeatures Detect() { return {}; }

#endif

}  // namespace

std::string CpuFeatures::Describe() const {
  if (!HasFastBFloat16()) return "neither AVX512-BF16 nor AMX";
  std::string text = avx512_bfloat16 ? "AVX512-BF16" : "";
  if (amx_bfloat16) text += text.empty() ? "AMX" : " and AMX";
  return text;
}

const CpuFeatures& CpuFeaturesOfThisMachine() {
  static const CpuFeatures features = Detect();
  return features;
}

}  // namespace breakeven
