// Pure.
#include "trainer/precision.h"

#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "trainer/cpu_features.h"

namespace breakeven {

BFloat16Support DescribeBFloat16(const World& world) {
  const std::string host = "host " + DescribeProcess().host + ": ";
  if (world.device.is_cuda()) {
    const std::vector<CudaDevice> devices = VisibleCudaDevices().devices;
    const CudaDevice& gpu = devices.at(static_cast<size_t>(world.device.index));
    return {gpu.capability >= 8, host + gpu.name + ", older than Ampere"};  // text: where it is not
  }
  const CpuFeatures& cpu = CpuFeaturesOfThisMachine();
  return {cpu.HasFastBFloat16(), host + cpu.Describe()};
}

std::string AgreeOnPrecision(std::string_view asked, bool forced, const BFloat16Support& own,
                             Control& control) {
  // A rank that has it says nothing.
  const std::vector<std::string> lacking = control.AllGather(own.is_fast ? "" : own.place);
  size_t first = 0;
  while (first < lacking.size() && lacking[first].empty()) ++first;
  const bool everywhere = first == lacking.size();
  if (asked == "float32" || (asked == "auto" && !everywhere)) {
    if (asked == "auto" && own.is_fast && control.rank() == 0) {
      LogInfo("precision: float32, for rank " + std::to_string(first) + " (" + lacking[first] +
              ") would be slow in bfloat16");
    }
    return "float32";
  }
  if (!everywhere && !forced) {
    throw Error(ErrorKind::kMachine,
                "precision: bfloat16, but rank " + std::to_string(first) + " is on " +
                    lacking[first] +
                    ". There it is emulated, about 16 times slower than float32. Set precision: "
                    "float32 or auto, or force_bfloat16: true to wait.",
                /*on_all_ranks=*/true);
  }
  return "bfloat16";
}

void ScoringPrecision::VisitFields(FieldVisitor& v) {
  v.Visit(
      {"precision",
       "type of matrix products and of what goes between them when models are asked; logits and "
       "log-likelihoods are float32 always. auto = bfloat16 on CPUs with AVX512-BF16 or AMX "
       "and on GPUs, else float32",
       OneOf({"auto", "float32", "bfloat16"}), false},
      type);
  v.Visit({"force_bfloat16",
           "precision: bfloat16 also where it is emulated, about 16 times slower than float32",
           {},
           false},
          force_bfloat16);
}

void ScoringPrecision::Resolve(const World& world) {
  type = AgreeOnPrecision(type, force_bfloat16, DescribeBFloat16(world), *world.control);
}

}  // namespace breakeven
