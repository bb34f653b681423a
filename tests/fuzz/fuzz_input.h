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

// A file with a path, as long as the object lives. It lies in TMPDIR, which run.sh puts into memory:
// HDF5 refuses a memfd, whose path in /proc leads nowhere.
class InputFile {
 public:
  explicit InputFile(std::string_view bytes);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// For parsers that take a folder: a file of it, over what stood there.
void WriteInput(const std::string& path, std::string_view bytes);

// The input as text, cut at its NULs into `count` parts; the last has the rest, those that are not
// there are empty. Seeds of one part are then plain files.
std::vector<std::string_view> CutAtNuls(const uint8_t* data, size_t size, size_t count);

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_FUZZ_FUZZ_INPUT_H_
