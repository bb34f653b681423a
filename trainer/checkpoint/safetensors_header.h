// Pure. The JSON header of a safetensors file: read with nothing taken on trust, and written.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_SAFETENSORS_HEADER_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/checkpoint/safetensors.h"

namespace breakeven {

// The reference implementation's limit: a longer header is an attack or not a safetensors file.
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;

struct SafetensorsHeader {
  std::vector<MappedTensor> tensors;  // data not set; in order of begin offset
  std::vector<int64_t> begins;        // byte offset of each from the start of the data
  std::map<std::string, std::string> metadata;
};

// Bytes of an element; nullopt for an unknown dtype.
std::optional<int64_t> BytesOfDtype(std::string_view dtype);

// `json` is the header's text and `data_bytes` what follows it in `file`. Error(kBadData): see
// SafetensorsFile.
SafetensorsHeader ParseSafetensorsHeader(std::string_view json, int64_t data_bytes,
                                         const std::string& file);

// The 8 length bytes and the JSON, padded with blanks to a multiple of 64 bytes. Tensors lie in the
// given order.
std::string FormatSafetensorsHeader(std::span<const TensorToWrite> tensors,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_SAFETENSORS_HEADER_H_
