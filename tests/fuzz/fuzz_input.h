// What the fuzz targets share: what counts as an answer, and files for parsers that take a path.
#ifndef BREAKEVEN_TESTS_FUZZ_FUZZ_INPUT_H_
#define BREAKEVEN_TESTS_FUZZ_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/error.h"

namespace breakeven {

// Runs `parse`. An Error is an answer, except kInternal: bytes of a file must not reach a broken
// invariant of ours, and the targets say with BE_CHECK what must hold of what was accepted.
// Everything that is not an Error leaves through the fuzzer and is a finding.
template <typename Parse>
void ExpectAnswer(const Parse& parse) {
  try {
    parse();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) throw;
  }
}

// A file in memory that has a path as long as the object lives.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

// A folder in memory, for parsers that take a folder; removed with the object.
class MemoryFolder {
 public:
  MemoryFolder();
  ~MemoryFolder();
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;
  const std::string& path() const { return path_; }
  void Write(const std::string& name, std::string_view bytes) const;

 private:
  std::string path_;
};

// The input as text, cut at its NULs into `count` parts; the last has the rest, those that are not
// there are empty. Seeds of one part are then plain files.
std::vector<std::string_view> CutAtNuls(const uint8_t* data, size_t size, size_t count);

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_FUZZ_FUZZ_INPUT_H_
