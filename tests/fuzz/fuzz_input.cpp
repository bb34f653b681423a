#include "tests/fuzz/fuzz_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace breakeven {
namespace {

void WriteAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written <= 0) throw std::runtime_error("cannot write the input: is TMPDIR full?");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

InputFile::InputFile(std::string_view bytes)
    : path_(std::filesystem::temp_directory_path() / "breakeven_fuzz_XXXXXX") {
  const int descriptor = ::mkstemp(path_.data());
  if (descriptor < 0) throw std::runtime_error("cannot create " + path_);
  WriteAll(descriptor, bytes);
  ::close(descriptor);
}

InputFile::~InputFile() { ::unlink(path_.c_str()); }

void WriteInput(const std::string& path, std::string_view bytes) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) throw std::runtime_error("cannot write " + path);
  WriteAll(descriptor, bytes);
  ::close(descriptor);
}

std::vector<std::string_view> CutAtNuls(const uint8_t* data, size_t size, size_t count) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const size_t end = rest.find('\0');
    parts.push_back(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  parts.push_back(rest);
  return parts;
}

}  // namespace breakeven
