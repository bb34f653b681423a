// Weights of a Hugging Face folder into the flat buffer.
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/util/Half.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/model/flat_parameters.h"
#include "trainer/model/model.h"

namespace breakeven {
namespace {

constexpr int64_t kGrainElements = 1 << 16;
constexpr size_t kMaxListed = 8;

// Of a tensor: the elements that this rank loads.
struct Elements {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// To to[0] goes the first of the elements.
template <typename Raw, typename Widen>
void WidenAll(const MappedTensor& source, const Elements& elements, float* to, const Widen& widen) {
  const std::byte* from = source.data;
  at::parallel_for(elements.begin, elements.end, kGrainElements, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Raw raw;  // files of other programs are not aligned
      std::memcpy(&raw, from + i * static_cast<int64_t>(sizeof(Raw)), sizeof(Raw));
      to[i - elements.begin] = widen(raw);
    }
  });
}

// Reads elements of a tensor as float32. False: a dtype that is no weight's.
bool Widen(const MappedTensor& source, const Elements& elements, float* to) {
  if (source.dtype == "F32") {
    WidenAll<float>(source, elements, to, [](float raw) { return raw; });
  } else if (source.dtype == "BF16") {
    WidenAll<uint16_t>(source, elements, to, [](uint16_t raw) {
      const uint32_t bits = static_cast<uint32_t>(raw) << 16;
      float value;
      std::memcpy(&value, &bits, sizeof(value));
      return value;
    });
  } else if (source.dtype == "F16") {
    WidenAll<uint16_t>(source, elements, to,
                       [](uint16_t raw) { return c10::detail::fp16_ieee_to_fp32_value(raw); });
  } else {
    return false;
  }
  return true;
}

std::string ShapeText(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

// Folders of a bare model (no language-model head) leave out the first part of every name.
std::string FullName(const std::string& name, const ModelConfig& config) {
  const std::string prefix = config.model_type == "gpt2" ? "transformer." : "model.";
  return name.starts_with(prefix) || name.starts_with("lm_head.") ? name : prefix + name;
}

// Buffers that older versions of transformers saved although they hold no learnt value.
bool IsKnownBuffer(const std::string& name, const ModelConfig& config) {
  if (config.model_type == "gpt2") {
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
  }
  return name.ends_with(".rotary_emb.inv_freq");
}

struct Found {
  const MappedTensor* tensor = nullptr;
  const SafetensorsFile* file = nullptr;
};

std::map<std::string, Found> FindTensors(const std::vector<SafetensorsFile>& files,
                                         const ModelConfig& config) {
  std::map<std::string, Found> found;
  for (const SafetensorsFile& file : files) {
    for (const MappedTensor& tensor : file.tensors()) {
      const std::string name = FullName(tensor.name, config);
      if (IsKnownBuffer(name, config)) continue;
      if (!found.emplace(name, Found{&tensor, &file}).second) {
        throw Error(ErrorKind::kBadData, file.path() + ": \"" + tensor.name +
                                             "\" stands there twice, with and without prefix");
      }
    }
  }
  return found;
}

// The faults of one kind, first few by name.
void AppendFaults(const std::string& title, const std::vector<std::string>& faults,
                  std::string& message) {
  if (faults.empty()) return;
  message += "\n  " + title + " (" + std::to_string(faults.size()) + "):";
  for (size_t i = 0; i < std::min(kMaxListed, faults.size()); ++i) message += "\n    " + faults[i];
  if (faults.size() > kMaxListed) message += "\n    …";
}

// A tied head may stand in the file too, if it is the embedding.
void CheckTiedHead(const Found& head, const at::Tensor& embedding_VC, const Elements& elements) {
  const std::string where = head.file->path() + ": lm_head.weight";
  const std::string remedy =
      " although config.json says tie_word_embeddings: set it to false, or remove the tensor";
  if (at::IntArrayRef(head.tensor->shape) != embedding_VC.sizes()) {
    throw Error(ErrorKind::kBadData, where + " is " + ShapeText(head.tensor->shape) +
                                         ", the embedding " + ShapeText(embedding_VC.sizes()) +
                                         "," + remedy);
  }
  const at::Tensor values = at::empty({elements.size()}, at::kFloat);
  const at::Tensor own =
      embedding_VC.detach().view({-1}).narrow(0, elements.begin, elements.size());
  if (!Widen(*head.tensor, elements, values.mutable_data_ptr<float>()) ||
      !at::equal(values, own.cpu())) {
    throw Error(ErrorKind::kBadData, where + " differs from the embedding" + remedy);
  }
}

// Tensors of the folder by their full names, all checked against the model's parameters.
std::map<std::string, Found> FindChecked(const std::string& folder,
                                         const std::vector<SafetensorsFile>& files, Model& model) {
  std::map<std::string, Found> found = FindTensors(files, model.config());
  std::vector<std::string> missing, misshapen, extra;
  for (const NamedParameter& parameter : model.parameters()) {
    const auto place = found.find(parameter.name);
    if (place == found.end()) {
      missing.push_back(parameter.name + " " + ShapeText(parameter.tensor.sizes()));
      continue;
    }
    const MappedTensor& tensor = *place->second.tensor;
    const bool is_weight = tensor.dtype == "F32" || tensor.dtype == "F16" || tensor.dtype == "BF16";
    if (at::IntArrayRef(tensor.shape) != parameter.tensor.sizes() || !is_weight) {
      misshapen.push_back(parameter.name + " is " + tensor.dtype + ShapeText(tensor.shape) +
                          ", expected F32, F16 or BF16 " + ShapeText(parameter.tensor.sizes()));
    }
  }
  for (const auto& [name, place] : found) {
    const bool known =
        (model.config().tied_head && name == "lm_head.weight") ||
        std::any_of(model.parameters().begin(), model.parameters().end(),
                    [&](const NamedParameter& parameter) { return parameter.name == name; });
    if (!known) extra.push_back(name + " " + place.tensor->dtype + ShapeText(place.tensor->shape));
  }
  std::string message;
  AppendFaults("missing", missing, message);
  AppendFaults("of another shape or type", misshapen, message);
  AppendFaults("not part of the model", extra, message);
  if (!message.empty()) {
    throw Error(ErrorKind::kBadData, folder + ": the weights do not fit config.json (" +
                                         model.config().model_type + "):" + message);
  }
  return found;
}

}  // namespace

void LoadWeights(const std::string& folder, Model& model, int part, int num_parts) {
  const auto part_of = [=](int64_t numel) {
    return Elements{numel * part / num_parts, numel * (part + 1) / num_parts};
  };
  const std::vector<SafetensorsFile> files = OpenModelFolder(folder);
  // Everything is checked before anything is written.
  const std::map<std::string, Found> found = FindChecked(folder, files, model);
  const c10::NoGradGuard no_gradients;
  for (const NamedParameter& parameter : model.parameters()) {
    const Found& source = found.at(parameter.name);
    const Elements elements = part_of(parameter.tensor.numel());
    const at::Tensor own = parameter.tensor.view({-1}).narrow(0, elements.begin, elements.size());
    const bool direct = own.is_cpu();
    const at::Tensor values = direct ? own : at::empty({elements.size()}, at::kFloat);
    Widen(*source.tensor, elements, values.mutable_data_ptr<float>());
    if (!direct) own.copy_(values);
    source.file->Forget(*source.tensor);
  }
  const auto head = found.find("lm_head.weight");
  if (model.config().tied_head && head != found.end()) {
    const at::Tensor& embedding_VC = model.HeadWeight();
    CheckTiedHead(head->second, embedding_VC, part_of(embedding_VC.numel()));
  }
}

std::string IdentifyWeights(const std::string& folder) {
  std::set<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    struct stat status = {};
    if (name.find(".safetensors") == std::string::npos) continue;
    if (::stat(entry->path().c_str(), &status) != 0) return "";
    std::ostringstream text;
    text << name << ' ' << status.st_dev << ' ' << status.st_ino << ' ' << status.st_size << ' '
         << status.st_ctim.tv_sec << '.' << status.st_ctim.tv_nsec << '\n';
    files.insert(text.str());
  }
  std::string all;
  for (const std::string& file : files) all += file;
  return error ? "" : all;
}

void CheckWeights(const std::string& folder, const ModelConfig& config) {
  ModelStorage shapes_only;
  shapes_only.device = at::kMeta;
  const std::unique_ptr<Model> model = BuildModel(config, shapes_only);
  FindChecked(folder, OpenModelFolder(folder), *model);
}

}  // namespace breakeven
