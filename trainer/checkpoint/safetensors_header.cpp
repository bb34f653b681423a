// Pure.
#include "trainer/checkpoint/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/json_depth.h"

namespace breakeven {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, int64_t>, 15> kDtypes = {{{"F64", 8},
                                                                           {"F32", 4},
                                                                           {"F16", 2},
                                                                           {"BF16", 2},
                                                                           {"I64", 8},
                                                                           {"I32", 4},
                                                                           {"I16", 2},
                                                                           {"I8", 1},
                                                                           {"U64", 8},
                                                                           {"U32", 4},
                                                                           {"U16", 2},
                                                                           {"U8", 1},
                                                                           {"BOOL", 1},
                                                                           {"F8_E4M3", 1},
                                                                           {"F8_E5M2", 1}}};

[[noreturn]] void Fail(const std::string& file, const std::string& what) {
  throw Error(ErrorKind::kBadData, file + ": not a sound safetensors file: " + what +
                                       ". Copy or download the file again.");
}

[[noreturn]] void FailTensor(const std::string& file, const std::string& tensor,
                             const std::string& what) {
  Fail(file, "tensor \"" + tensor + "\": " + what);
}

// nlohmann's DOM keeps the last of two equal keys; a name that stands twice must be refused, so
// keys are watched on the way in.
Json ParseWithoutDuplicates(std::string_view json, const std::string& file) {
  std::vector<std::set<std::string>> open_objects;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second)
        Fail(file, "the name \"" + key + "\" stands twice");
    }
    return true;
  };
  try {
    return Json::parse(json, watch);
  } catch (const Json::exception& error) {
    Fail(file, std::string("the header is not JSON in UTF-8 (") + error.what() + ")");
  }
}

// A non-negative integer that fits int64.
int64_t ReadCount(const Json& value, const std::string& file, const std::string& tensor,
                  const std::string& what) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    FailTensor(file, tensor,
               what + " is " + value.dump() + ", expected a whole number from 0 to 2^63-1");
  }
  return value.get<int64_t>();
}

const Json& Member(const Json& object, const char* key, const std::string& file,
                   const std::string& tensor) {
  const auto found = object.find(key);
  if (found == object.end()) FailTensor(file, tensor, std::string("has no \"") + key + "\"");
  return *found;
}

struct Placed {
  MappedTensor tensor;
  int64_t begin = 0;
};

Placed ParseTensor(const std::string& name, const Json& value, const std::string& file) {
  if (!value.is_object())
    FailTensor(file, name, "is " + std::string(value.type_name()) + ", expected an object");
  Placed placed;
  placed.tensor.name = name;
  const Json& dtype = Member(value, "dtype", file, name);
  if (!dtype.is_string())
    FailTensor(file, name, "its dtype is " + dtype.dump() + ", expected a string");
  placed.tensor.dtype = dtype.get<std::string>();
  const std::optional<int64_t> element_bytes = BytesOfDtype(placed.tensor.dtype);
  if (!element_bytes.has_value())
    FailTensor(file, name, "unknown dtype \"" + placed.tensor.dtype + "\"");

  const Json& shape = Member(value, "shape", file, name);
  if (!shape.is_array())
    FailTensor(file, name, "its shape is " + shape.dump() + ", expected a list");
  int64_t num_bytes = *element_bytes;
  for (const Json& extent : shape) {
    placed.tensor.shape.push_back(ReadCount(extent, file, name, "an extent of its shape"));
    if (__builtin_mul_overflow(num_bytes, placed.tensor.shape.back(), &num_bytes)) {
      FailTensor(file, name, "its shape " + shape.dump() + " overflows 64 bits");
    }
  }
  placed.tensor.num_bytes = num_bytes;
  placed.tensor.numel = num_bytes / *element_bytes;

  const Json& offsets = Member(value, "data_offsets", file, name);
  if (!offsets.is_array() || offsets.size() != 2) {
    FailTensor(file, name, "its data_offsets are " + offsets.dump() + ", expected [begin, end]");
  }
  placed.begin = ReadCount(offsets[0], file, name, "its begin offset");
  const int64_t end = ReadCount(offsets[1], file, name, "its end offset");
  if (end < placed.begin || end - placed.begin != num_bytes) {
    FailTensor(file, name,
               "data_offsets " + offsets.dump() + " do not span the " + std::to_string(num_bytes) +
                   " bytes of " + placed.tensor.dtype + shape.dump());
  }
  if (value.size() != 3)
    FailTensor(file, name, "has members other than dtype, shape, data_offsets");
  return placed;
}

std::map<std::string, std::string> ParseMetadata(const Json& value, const std::string& file) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) Fail(file, "__metadata__ is not an object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) Fail(file, "__metadata__[\"" + key + "\"] is not a string");
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// Tensors must follow one another from 0 to the end of the file: then none overlaps and nothing is
// hidden between.
void CheckLayout(const std::vector<Placed>& placed, int64_t data_bytes, const std::string& file) {
  int64_t expected = 0;
  for (const Placed& item : placed) {
    if (item.begin != expected) {
      FailTensor(file, item.tensor.name,
                 "begins at byte " + std::to_string(item.begin) + " of the data, expected " +
                     std::to_string(expected) +
                     (item.begin < expected ? " (it overlaps the one before)"
                                            : " (there is a hole before it)"));
    }
    if (item.tensor.num_bytes > data_bytes - expected) {
      FailTensor(file, item.tensor.name,
                 "ends at byte " + std::to_string(item.begin + item.tensor.num_bytes) +
                     " of the data, but the file has only " + std::to_string(data_bytes) +
                     " (is it cut off?)");
    }
    expected += item.tensor.num_bytes;
  }
  if (expected != data_bytes) {
    Fail(file, "the tensors end at byte " + std::to_string(expected) +
                   " of the data, the file at " + std::to_string(data_bytes));
  }
}

}  // namespace

std::optional<int64_t> BytesOfDtype(std::string_view dtype) {
  for (const auto& [name, bytes] : kDtypes) {
    if (name == dtype) return bytes;
  }
  return std::nullopt;
}

SafetensorsHeader ParseSafetensorsHeader(std::string_view json, int64_t data_bytes,
                                         const std::string& file) {
  if (json.empty() || json.front() != '{') Fail(file, "the header does not begin with '{'");
  CheckJsonDepth(json, file);
  const Json root = ParseWithoutDuplicates(json, file);
  SafetensorsHeader header;
  std::vector<Placed> placed;
  for (const auto& [name, value] : root.items()) {
    if (name == "__metadata__") {
      header.metadata = ParseMetadata(value, file);
    } else {
      placed.push_back(ParseTensor(name, value, file));
    }
  }
  // Empty tensors first among those that begin at one byte, so that they do not look like an
  // overlap.
  std::stable_sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.tensor.num_bytes) < std::pair(b.begin, b.tensor.num_bytes);
  });
  CheckLayout(placed, data_bytes, file);
  for (Placed& item : placed) {
    header.begins.push_back(item.begin);
    header.tensors.push_back(std::move(item.tensor));
  }
  return header;
}

std::string FormatSafetensorsHeader(std::span<const TensorToWrite> tensors,
                                    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json root;
  if (!metadata.empty()) root["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    const std::optional<int64_t> element_bytes = BytesOfDtype(tensor.dtype);
    BE_CHECK(element_bytes.has_value(), "dtype " + tensor.dtype + " of " + tensor.name);
    BE_CHECK(!root.contains(tensor.name), tensor.name + " twice");
    int64_t num_bytes = *element_bytes;
    for (const int64_t extent : tensor.shape) num_bytes *= extent;
    root[tensor.name] = {{"dtype", tensor.dtype},
                         {"shape", tensor.shape},
                         {"data_offsets", {offset, offset + num_bytes}}};
    offset += num_bytes;
  }
  std::string json = root.is_null() ? "{}" : root.dump();
  constexpr size_t kAlignment = 64;
  const size_t padded = (8 + json.size() + kAlignment - 1) / kAlignment * kAlignment;
  json.resize(padded - 8, ' ');
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>((json.size() >> (8 * i)) & 0xFF);
  return bytes + json;
}

}  // namespace breakeven
