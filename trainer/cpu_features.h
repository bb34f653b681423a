// Pure. What this processor can do beside what the build asks for.
#ifndef BREAKEVEN_TRAINER_CPU_FEATURES_H_
#define BREAKEVEN_TRAINER_CPU_FEATURES_H_

#include <string>

namespace breakeven {

// By CPUID, and only what the operating system saves on a task switch: ATen has no query for
// AVX512-BF16.
struct CpuFeatures {
  bool avx512 = false;  // F, BW and VL
  bool avx512_bfloat16 = false;
  bool amx_bfloat16 =
      false;  // and this process has asked the kernel for its tiles, and may use them
  bool is_intel = false;

  // Products of bfloat16 matrices in hardware: 2 to 6 times the speed of float32. Without, they are
  // emulated and about 16 times slower than float32.
  bool HasFastBFloat16() const { return avx512_bfloat16 || amx_bfloat16; }
  std::string Describe() const;  // "AVX512-BF16 and AMX", or "neither AVX512-BF16 nor AMX"
};

const CpuFeatures& CpuFeaturesOfThisMachine();

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CPU_FEATURES_H_
