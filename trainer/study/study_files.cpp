// Pure.
#include "trainer/study/study_files.h"

#include <filesystem>

#include "comm/base/error.h"

namespace breakeven {

bool IsThere(const std::string& path) {
  std::error_code error;
  const bool is_there = std::filesystem::exists(path, error);
  if (error) throw Error(ErrorKind::kIo, path + ": cannot look at it: " + error.message());
  return is_there;
}

void RemoveFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) throw Error(ErrorKind::kIo, folder + ": cannot delete: " + error.message());
}

int64_t FreeBytes(const std::string& folder) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) {
    throw Error(ErrorKind::kIo, folder + ": cannot see how much is free: " + error.message());
  }
  return static_cast<int64_t>(space.available);
}

}  // namespace breakeven
