#include "trainer/checkpoint/moment_parts.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "comm/base/error.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/tensor_bridge.h"

namespace breakeven {
namespace {

constexpr const char* kExpAvg = "exp_avg.";
constexpr const char* kExpAvgSq = "exp_avg_sq.";

const char* PrefixOf(Moment moment) { return moment == Moment::kExpAvg ? kExpAvg : kExpAvgSq; }

// The elements of its parameter that a tensor of AppendTensors has: all of `numel`, or as its name
// says. `name` loses the brackets. Nothing when the brackets are not of this kind.
std::optional<FlatRange> ElementsOf(std::string_view& name, int64_t numel) {
  if (!name.ends_with(']')) return FlatRange{0, numel};
  const size_t open = name.rfind('[');
  if (open == std::string_view::npos) return std::nullopt;
  const std::string_view text = name.substr(open + 1, name.size() - open - 2);
  name = name.substr(0, open);
  FlatRange range;
  const char* last = text.data() + text.size();
  const auto [colon, first_error] = std::from_chars(text.data(), last, range.begin);
  if (first_error != std::errc() || colon == last || *colon != ':') return std::nullopt;
  const auto [end, second_error] = std::from_chars(colon + 1, last, range.end);
  if (second_error != std::errc() || end != last) return std::nullopt;
  return range;
}

// Fills a moment's parameters from tensors and knows what is still missing.
class MomentFiller {
 public:
  MomentFiller(Moment moment, const ModelStorage& storage, float* flat_P)
      : prefix_(PrefixOf(moment)), flat_P_(flat_P) {
    for (const ParameterRange& range : storage.ranges) parameters_.emplace(range.name, &range);
  }

  void Take(const SafetensorsFile& file) {
    for (const MappedTensor& tensor : file.tensors()) {
      if (!tensor.name.starts_with(prefix_)) continue;
      std::string_view name = std::string_view(tensor.name).substr(prefix_.size());
      const std::optional<FlatRange> elements = ElementsOf(name, tensor.numel);
      const auto found = parameters_.find(name);
      if (found == parameters_.end()) continue;  // a moment of a weight that this model has not
      const ParameterRange& parameter = *found->second;
      if (tensor.dtype != "F32" || !elements.has_value() || elements->begin < 0 ||
          elements->end > parameter.numel || elements->size() != tensor.numel ||
          (tensor.numel == parameter.numel && tensor.shape != parameter.shape)) {
        throw Error(ErrorKind::kBadData,
                    file.path() + ": tensor " + tensor.name + " is " + tensor.dtype + " with " +
                        std::to_string(tensor.numel) +
                        " elements; expected F32 elements of the parameter, which has " +
                        std::to_string(parameter.numel));
      }
      std::memcpy(flat_P_ + parameter.offset + elements->begin, tensor.data,
                  static_cast<size_t>(tensor.num_bytes));
      filled_[found->first].push_back(*elements);
      file.Forget(tensor);
    }
  }

  void RequireAll(const std::string& folder) {
    for (const auto& [name, parameter] : parameters_) {
      std::vector<FlatRange>& filled = filled_[name];
      std::sort(filled.begin(), filled.end(),
                [](const FlatRange& a, const FlatRange& b) { return a.begin < b.begin; });
      int64_t next = 0;
      for (const FlatRange& range : filled) {
        if (range.begin != next) break;
        next = range.end;
      }
      if (next == parameter->numel) continue;
      throw Error(
          ErrorKind::kBadData,
          folder + ": lacks tensor " + std::string(prefix_) + std::string(name) +
              (next == 0 ? std::string() : " from element " + std::to_string(next) + " on"));
    }
  }

 private:
  std::string_view prefix_;
  float* flat_P_;
  std::map<std::string_view, const ParameterRange*> parameters_;
  std::map<std::string_view, std::vector<FlatRange>> filled_;
};

}  // namespace

std::vector<MomentStretch> DealMoments(int64_t num_elements, int rank, int world_size) {
  // Both moments end to end; whole lines of parameters, so that few are cut.
  const int64_t both = 2 * num_elements;
  const int64_t fair = 3 * num_elements / world_size;
  const int64_t of_root = world_size == 1 ? both : std::max<int64_t>(0, fair - num_elements);
  const auto cut = [&](int before) {
    if (before == 0) return int64_t{0};
    if (before == world_size) return both;
    const int64_t at = of_root + (both - of_root) * (before - 1) / (world_size - 1);
    return at / kParameterAlignment * kParameterAlignment;
  };
  const FlatRange own{cut(rank), cut(rank + 1)};
  std::vector<MomentStretch> stretches;
  for (const Moment moment : {Moment::kExpAvg, Moment::kExpAvgSq}) {
    const int64_t offset = moment == Moment::kExpAvg ? 0 : num_elements;
    const FlatRange range{std::max(own.begin - offset, int64_t{0}),
                          std::min(own.end - offset, num_elements)};
    if (range.size() > 0) stretches.push_back({moment, range});
  }
  return stretches;
}

void AppendTensors(const HeldStretch& stretch, const std::vector<ParameterRange>& all,
                   std::vector<TensorToWrite>& tensors) {
  const FlatRange& range = stretch.of.range;
  for (const ParameterRange& parameter : all) {
    const int64_t begin = std::max(range.begin, parameter.offset);
    const int64_t end = std::min(range.end, parameter.offset + parameter.numel);
    if (begin >= end) continue;
    TensorToWrite tensor{PrefixOf(stretch.of.moment) + parameter.name, "F32", parameter.shape,
                         stretch.values.const_data_ptr<float>() + (begin - range.begin)};
    if (end - begin < parameter.numel) {
      tensor.name.append("[").append(std::to_string(begin - parameter.offset)).append(":");
      tensor.name.append(std::to_string(end - parameter.offset)).append("]");
      tensor.shape = {end - begin};
    }
    tensors.push_back(std::move(tensor));
  }
}

void LoadMoment(const std::string& folder, Moment moment, const ModelStorage& storage,
                const at::Tensor& flat_P) {
  const at::Tensor on_host_P = OnHost(flat_P);
  MomentFiller filler(moment, storage, on_host_P.data_ptr<float>());
  for (const auto& [name, record] : ReadManifest(folder).files) {
    if (name.starts_with(kMomentFiles)) filler.Take(SafetensorsFile(folder + "/" + name));
  }
  filler.RequireAll(folder);
  if (!flat_P.is_cpu()) flat_P.copy_(on_host_P);
}

}  // namespace breakeven
