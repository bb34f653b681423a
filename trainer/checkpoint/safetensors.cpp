// Pure.
#include "trainer/checkpoint/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/json_depth.h"
#include "trainer/checkpoint/safetensors_header.h"

namespace breakeven {
namespace {

// A file mapped read-only for as long as the object lives. An empty file maps to nothing.
class Mapping {
 public:
  explicit Mapping(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) Fail(path, "cannot be opened");
    struct stat status = {};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(descriptor);
      throw Error(ErrorKind::kBadData, path + ": expected a regular file");
    }
    size_ = static_cast<size_t>(status.st_size);
    if (size_ > 0) {
      void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
      const int mmap_error = errno;
      ::close(descriptor);
      errno = mmap_error;
      if (mapped == MAP_FAILED) Fail(path, "cannot be mapped");
      data_ = static_cast<const std::byte*>(mapped);
    } else {
      ::close(descriptor);
    }
  }
  ~Mapping() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  [[noreturn]] static void Fail(const std::string& path, const std::string& what) {
    throw Error(ErrorKind::kBadData, path + " " + what + ": " + std::strerror(errno));
  }
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Length of the JSON header, checked against the file.
size_t ReadHeaderLength(const Mapping& mapping, const std::string& path) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kBadData, path + ": not a safetensors file: " + what);
  };
  if (mapping.size() < 8) {
    fail("it has " + std::to_string(mapping.size()) + " bytes, expected at least 8");
  }
  uint64_t length = 0;
  for (size_t i = 0; i < 8; ++i) {
    length |= static_cast<uint64_t>(std::to_integer<uint8_t>(mapping.data()[i])) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    fail("its first 8 bytes announce a header of " + std::to_string(length) +
         " bytes; the limit is " + std::to_string(kMaxHeaderBytes));
  }
  if (length > mapping.size() - 8) {
    fail("its header of " + std::to_string(length) + " bytes does not fit the file of " +
         std::to_string(mapping.size()) + " (is it cut off?)");
  }
  return static_cast<size_t>(length);
}

}  // namespace

struct SafetensorsFile::State {
  explicit State(const std::string& file_path) : path(file_path), mapping(file_path) {}
  std::string path;
  Mapping mapping;
  SafetensorsHeader header;
  std::unordered_map<std::string_view, size_t> index;
};

SafetensorsFile::SafetensorsFile(const std::string& path) : state_(std::make_unique<State>(path)) {
  const Mapping& mapping = state_->mapping;
  const size_t header_length = ReadHeaderLength(mapping, path);
  const std::string_view json(reinterpret_cast<const char*>(mapping.data()) + 8, header_length);
  const std::byte* data = mapping.data() + 8 + header_length;
  state_->header =
      ParseSafetensorsHeader(json, static_cast<int64_t>(mapping.size() - 8 - header_length), path);
  std::vector<MappedTensor>& tensors = state_->header.tensors;
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].data = data + state_->header.begins[i];
    state_->index.emplace(tensors[i].name, i);
  }
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::string& SafetensorsFile::path() const { return state_->path; }
const std::vector<MappedTensor>& SafetensorsFile::tensors() const { return state_->header.tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return state_->header.metadata;
}

void SafetensorsFile::Forget(const MappedTensor& tensor) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(tensor.data);
  const uintptr_t begin = (address + page - 1) / page * page;  // neighbours share the outer pages
  const uintptr_t end = (address + static_cast<uintptr_t>(tensor.num_bytes)) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

const MappedTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found = state_->index.find(name);
  return found == state_->index.end() ? nullptr : &state_->header.tensors[found->second];
}

namespace {

// tensor → shard, as the index says. Only plain names of files in the same folder are followed.
std::map<std::string, std::string> ReadIndex(const std::string& path) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kBadData, path + ": " + what);
  };
  const std::string text = ReadFile(path);
  CheckJsonDepth(text, path);
  nlohmann::json index;
  try {
    index = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail(std::string("not JSON: ") + error.what());
  }
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object() ||
      index["weight_map"].empty()) {
    fail("has no \"weight_map\" object, or an empty one");
  }
  std::map<std::string, std::string> shard_of;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) fail("the shard of \"" + tensor + "\" is " + shard.dump());
    const std::string& name = shard.get_ref<const std::string&>();
    if (name.empty() || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos || name == "." || name == "..") {
      fail("the shard of \"" + tensor + "\" is " +
           shard.dump() +  // escaped: a NUL would end the text
           ", expected a plain file name of this folder");
    }
    shard_of.emplace(tensor, name);
  }
  return shard_of;
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

std::vector<SafetensorsFile> OpenModelFolder(const std::string& folder) {
  const std::string single = folder + "/model.safetensors";
  const std::string index_path = single + ".index.json";
  std::vector<SafetensorsFile> files;
  if (Exists(single)) {
    files.emplace_back(single);
    return files;
  }
  if (!Exists(index_path)) {
    throw Error(
        ErrorKind::kBadData,
        folder + " has neither model.safetensors nor model.safetensors.index.json" +
            (Exists(folder + "/pytorch_model.bin")
                 ? ": convert pytorch_model.bin with save_pretrained(…, safe_serialization=True)"
                 : ""));
  }
  const std::map<std::string, std::string> shard_of = ReadIndex(index_path);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  std::map<std::string, std::string, std::less<>> found_in;
  for (const std::string& shard : shards) {
    files.emplace_back(folder + "/" + shard);
    for (const MappedTensor& tensor : files.back().tensors()) {
      const auto [place, inserted] = found_in.emplace(tensor.name, shard);
      if (!inserted) {
        throw Error(ErrorKind::kBadData, folder + ": tensor \"" + tensor.name + "\" stands in " +
                                             place->second + " and in " + shard);
      }
    }
  }
  for (const auto& [tensor, shard] : shard_of) {
    const auto place = found_in.find(tensor);
    if (place == found_in.end() || place->second != shard) {
      throw Error(ErrorKind::kBadData, index_path + ": tensor \"" + tensor + "\" should be in " +
                                           shard + ", which lacks it");
    }
  }
  return files;
}

namespace {

int64_t BytesOf(const TensorToWrite& tensor) {
  int64_t num_bytes = *BytesOfDtype(tensor.dtype);
  for (const int64_t extent : tensor.shape) num_bytes *= extent;
  return num_bytes;
}

}  // namespace

WrittenFile WriteSafetensors(const std::string& path, std::span<const TensorToWrite> tensors,
                             const std::map<std::string, std::string>& metadata) {
  DurableFile file(path, PageCache::kAvoid);
  file.Write(FormatSafetensorsHeader(tensors, metadata));
  for (const TensorToWrite& tensor : tensors) {
    file.Write(tensor.data, static_cast<size_t>(BytesOf(tensor)));
  }
  file.Commit();
  return {file.hash(), file.num_bytes()};
}

}  // namespace breakeven
