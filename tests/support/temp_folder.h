// Pure. A folder for one test: ctest runs the tests of an executable side by side, each in a
// process of its own, so nothing that two tests write may have a name that both would choose.
#ifndef BREAKEVEN_TESTS_SUPPORT_TEMP_FOLDER_H_
#define BREAKEVEN_TESTS_SUPPORT_TEMP_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace breakeven {

// Made empty, gone with its owner.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "breakeven_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp: " + pattern);
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TESTS_SUPPORT_TEMP_FOLDER_H_
