// Pure.
#include "trainer/study/parameter_distance.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "comm/base/error.h"
#include "trainer/checkpoint/safetensors.h"

namespace breakeven {
namespace {

float FloatOfHalf(uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int fraction = half & 0x3ff;
  float value = 0;
  if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else if (exponent == 31) {
    value = fraction == 0 ? INFINITY : NAN;
  } else {
    value = std::ldexp(static_cast<float>(fraction | 0x400), exponent - 25);
  }
  return (half & 0x8000) != 0 ? -value : value;
}

// Element `i`; the bytes need not be aligned.
class Reader {
 public:
  Reader(const MappedTensor& tensor, const std::string& path)
      : data_(tensor.data), is_single_(tensor.dtype == "F32"), is_half_(tensor.dtype == "F16") {
    if (tensor.dtype == "F32" || tensor.dtype == "F16" || tensor.dtype == "BF16") return;
    throw Error(ErrorKind::kBadData, path + ": tensor '" + tensor.name + "' has type " +
                                         tensor.dtype + "; expected F32, F16 or BF16");
  }
  float operator()(int64_t i) const {
    if (is_single_) {
      float value;
      std::memcpy(&value, data_ + 4 * i, sizeof(value));
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, data_ + 2 * i, sizeof(bits));
    if (is_half_) return FloatOfHalf(bits);
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }

 private:
  const std::byte* const data_;
  const bool is_single_;
  const bool is_half_;
};

struct Sums {
  double moved = 0;
  double base = 0;
};

void Add(const Reader& base, const Reader& tuned, int64_t numel, ModelModified& modified,
         Sums& sums) {
  for (int64_t i = 0; i < numel; ++i) {
    const double before = base(i);
    const double step = static_cast<double>(tuned(i)) - before;
    modified.num_parameters_changed += step != 0 ? 1 : 0;
    sums.moved += step * step;
    sums.base += before * before;
  }
  modified.num_parameters += numel;
}

}  // namespace

ModelModified ParameterDistance(const std::string& base_folder, const std::string& tuned_folder) {
  const std::vector<SafetensorsFile> bases = OpenModelFolder(base_folder);
  ModelModified modified;
  Sums sums;
  for (const SafetensorsFile& file : OpenModelFolder(tuned_folder)) {
    for (const MappedTensor& tuned : file.tensors()) {
      const MappedTensor* base = nullptr;
      const SafetensorsFile* home = nullptr;
      for (const SafetensorsFile& candidate : bases) {
        home = base == nullptr ? &candidate : home;
        base = base == nullptr ? candidate.Find(tuned.name) : base;
      }
      if (base == nullptr || base->numel != tuned.numel) {
        throw Error(ErrorKind::kBadData,
                    base_folder + ": tensor '" + tuned.name + "' of " + file.path() +
                        (base == nullptr ? " is not there" : " has another size here") +
                        "; these are not the weights that training began with");
      }
      Add(Reader(*base, home->path()), Reader(tuned, file.path()), tuned.numel, modified, sums);
      home->Forget(*base);
      file.Forget(tuned);
      modified.checkpoint_bytes += tuned.num_bytes;
    }
  }
  modified.relative_distance = sums.base > 0 ? std::sqrt(sums.moved / sums.base) : 0;
  return modified;
}

}  // namespace breakeven
