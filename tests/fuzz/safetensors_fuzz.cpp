// A file of weights; where the input begins with '{', also the index of a folder with one shard.
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "tests/support/temp_folder.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/safetensors_header.h"

namespace breakeven {
namespace {

// What was accepted lies end to end in the file, can be touched, and is written so that it reads
// back.
void Use(const SafetensorsFile& file, size_t file_bytes) {
  std::vector<TensorToWrite> again;
  int64_t data_bytes = 0;
  [[maybe_unused]] volatile std::byte touched{};
  for (const MappedTensor& tensor : file.tensors()) {
    BE_CHECK(file.Find(tensor.name) == &tensor, tensor.name);
    BE_CHECK(tensor.data == file.tensors().front().data + data_bytes, tensor.name);
    if (tensor.num_bytes > 0) {
      touched = tensor.data[0];
      touched = tensor.data[tensor.num_bytes - 1];
    }
    file.Forget(tensor);
    data_bytes += tensor.num_bytes;
    again.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.data});
  }
  BE_CHECK(8 + data_bytes <= static_cast<int64_t>(file_bytes), std::to_string(data_bytes));
  const std::string header = FormatSafetensorsHeader(again, file.metadata());
  const SafetensorsHeader read = ParseSafetensorsHeader(header.substr(8), data_bytes, "again");
  BE_CHECK(read.tensors.size() == again.size() && read.metadata == file.metadata(), header);
}

void OpenIndex(std::string_view index) {
  static const TempFolder folder;
  static const bool has_shard = [] {
    const std::vector<TensorToWrite> tensors = {{"w", "F32", {2}, nullptr}};
    WriteInput(folder / "a.safetensors",
               FormatSafetensorsHeader(tensors, {}) + std::string(8, 'x'));
    return true;
  }();
  static_cast<void>(has_shard);
  WriteInput(folder / "model.safetensors.index.json", index);
  const std::vector<SafetensorsFile> files = OpenModelFolder(folder.path());
  BE_CHECK(files.size() == 1 && files[0].Find("w") != nullptr, files[0].path());
}

}  // namespace
}  // namespace breakeven

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ExpectAnswer([&] {
    const InputFile input(bytes);
    const SafetensorsFile file(input.path());
    Use(file, size);
  });
  if (bytes.starts_with('{')) ExpectAnswer([&] { OpenIndex(bytes); });
  return 0;
}
