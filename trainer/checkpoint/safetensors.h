// Pure. safetensors files: read through a mapping and trusted in nothing, written durably.
//
// Format: 8-byte little-endian header length, a JSON header {"name": {"dtype", "shape",
// "data_offsets": [begin, end]}, …, "__metadata__": {string: string}}, then the bytes of the
// tensors, end to end from offset 0 to the end of the file.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_SAFETENSORS_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// A tensor of a mapped file. `data` need not be aligned to its type: files of other programs are
// not.
struct MappedTensor {
  std::string name;
  std::string dtype;  // F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL F8_E4M3 F8_E5M2
  std::vector<int64_t> shape;  // empty: a scalar
  int64_t numel = 0;
  const std::byte* data = nullptr;
  int64_t num_bytes = 0;
};

// One file, mapped read-only and checked whole before the constructor returns. Move only; tensors
// live as long as it.
class SafetensorsFile {
 public:
  // Error(kBadData) naming file, tensor, found and expected: missing or empty file, header longer
  // than 100 MB or than the file, not UTF-8 or not JSON, a name twice, unknown dtype, negative or
  // overflowing shape, size ≠ shape × dtype, offsets that do not start at 0, leave a hole, overlap,
  // or do not end with the file.
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::string& path() const;
  const std::vector<MappedTensor>& tensors() const;       // in order of their bytes in the file
  const MappedTensor* Find(std::string_view name) const;  // nullptr when absent
  const std::map<std::string, std::string>& metadata() const;
  // The tensor's pages are not needed any more: they leave this process's resident size. Who reads
  // them again reads the file again.
  void Forget(const MappedTensor& tensor) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All files of a model folder: model.safetensors, or the shards that model.safetensors.index.json
// names. Shard names must be plain file names of the folder. Error(kBadData) also when a shard
// lacks a tensor that the index promises, or a tensor stands in two shards.
std::vector<SafetensorsFile> OpenModelFolder(const std::string& folder);

// What to write: `data` is num_bytes of little-endian elements, not owned.
struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  const void* data = nullptr;
};

struct WrittenFile {
  uint64_t hash = 0;  // XXH3-64 of the whole file
  int64_t num_bytes = 0;
};

// Writes through comm/base/durable_file.h: nothing stands under `path` before all is on disk. The
// header is padded with blanks so that the data starts at a multiple of 64 bytes. Same input, same
// bytes. Errors: kCannotCreate, kIo.
WrittenFile WriteSafetensors(const std::string& path, std::span<const TensorToWrite> tensors,
                             const std::map<std::string, std::string>& metadata = {
                                 {"format", "pt"}});

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_SAFETENSORS_H_
