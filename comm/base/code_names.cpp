// Pure.
#include "comm/base/code_names.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace breakeven {
namespace {

// Where the program's own file lies in memory.
struct ProgramImage {
  uint64_t base = 0;  // of a position-independent program; else 0
  uint64_t begin = ~uint64_t{0};
  uint64_t end = 0;
  uint64_t constants_begin = 0;  // the segment that is read only and no code
  uint64_t constants_end = 0;
};

int TakeFirst(dl_phdr_info* info, size_t, void* result) {
  auto& image = *static_cast<ProgramImage*>(result);
  image.base = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const uint64_t begin = image.base + segment.p_vaddr;
    image.begin = std::min(image.begin, begin);
    image.end = std::max(image.end, begin + segment.p_memsz);
    if (segment.p_flags == PF_R) {  // the last such one holds the constants
      image.constants_begin = begin;
      image.constants_end = begin + segment.p_memsz;
    }
  }
  return 1;  // the program comes first
}

const ProgramImage& Program() {
  static const ProgramImage image = [] {
    ProgramImage found;
    dl_iterate_phdr(TakeFirst, &found);
    return found;
  }();
  return image;
}

// The program's file, mapped for good, seen as pieces that are checked to lie inside of it.
class ProgramFile {
 public:
  ProgramFile() {
    const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat status {};
    if (::fstat(fd, &status) == 0 && status.st_size > 0) {
      void* data =
          ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
      if (data != MAP_FAILED) {
        bytes_ = {static_cast<const char*>(data), static_cast<size_t>(status.st_size)};
      }
    }
    ::close(fd);
  }

  template <typename T>
  std::span<const T> Part(uint64_t offset, uint64_t num_bytes) const {
    if (offset > bytes_.size() || num_bytes > bytes_.size() - offset) return {};
    return {reinterpret_cast<const T*>(bytes_.data() + offset), num_bytes / sizeof(T)};
  }

 private:
  std::span<const char> bytes_;
};

struct Function {
  uint64_t begin;
  uint64_t end;
  const char* mangled;
};

// All functions of the program, by address. Empty when the file cannot be read; the exported ones when it was stripped.
std::vector<Function> ReadFunctions() {
  static const ProgramFile file;
  const auto header = file.Part<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
  if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return {};
  const auto sections =
      file.Part<ElfW(Shdr)>(header[0].e_shoff, uint64_t{header[0].e_shnum} * sizeof(ElfW(Shdr)));
  std::vector<Function> functions;
  for (const unsigned type : {SHT_SYMTAB, SHT_DYNSYM}) {
    for (const auto& section : sections) {
      if (section.sh_type != type || section.sh_link >= sections.size()) continue;
      const auto& names = sections[section.sh_link];
      const auto text = file.Part<char>(names.sh_offset, names.sh_size);
      if (text.empty() || text.back() != '\0') continue;
      for (const auto& symbol : file.Part<ElfW(Sym)>(section.sh_offset, section.sh_size)) {
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_size == 0) continue;
        if (symbol.st_name >= text.size()) continue;
        functions.push_back(
            {symbol.st_value, symbol.st_value + symbol.st_size, text.data() + symbol.st_name});
      }
    }
    if (!functions.empty()) break;
  }
  std::sort(functions.begin(), functions.end(),
            [](const Function& a, const Function& b) { return a.begin < b.begin; });
  return functions;
}

std::string Demangle(const char* mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  const std::string name = status == 0 && text != nullptr ? text : mangled;
  std::free(text);
  return name;
}

std::string WithOffset(const std::string& name, uint64_t offset) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  do {
    digits.insert(digits.begin(), kDigits[offset % 16]);
    offset /= 16;
  } while (offset > 0);
  return name.empty() ? "+0x" + digits : name + " (+0x" + digits + ")";
}

// Of the program's own function at an offset.
std::string NameInProgram(uint64_t offset) {
  static const std::vector<Function> functions = ReadFunctions();
  // A return address may be the first byte behind its function: look at the call before it.
  const uint64_t call = offset - 1;
  auto next = std::upper_bound(functions.begin(), functions.end(), call,
                               [](uint64_t at, const Function& f) { return at < f.begin; });
  if (next == functions.begin() || call >= (next - 1)->end) return WithOffset("", offset);
  return WithOffset(ShortFunctionName(Demangle((next - 1)->mangled)), offset);
}

}  // namespace

uint64_t ProgramOffset(const void* address) {
  const auto value = reinterpret_cast<uint64_t>(address);
  const ProgramImage& image = Program();
  return value >= image.begin && value < image.end ? value - image.base : 0;
}

std::string_view ProgramText(uint64_t offset) {
  constexpr uint64_t kLongest = 4096;
  const ProgramImage& image = Program();
  const uint64_t at = image.base + offset;
  if (offset == 0 || at < image.constants_begin || at >= image.constants_end) return "";
  const char* text = reinterpret_cast<const char*>(at);
  const size_t size = ::strnlen(text, std::min(kLongest, image.constants_end - at));
  return {text, size};
}

std::string NameOfAddress(const void* address) {
  if (const uint64_t offset = ProgramOffset(address); offset != 0) return NameInProgram(offset);
  Dl_info info{};
  // A return address may be the first byte of the next function.
  const auto call = [&] { return static_cast<const char*>(address) - 1; };
  if (address == nullptr || ::dladdr(call(), &info) == 0 || info.dli_fname == nullptr) {
    return WithOffset("", reinterpret_cast<uint64_t>(address));
  }
  std::string_view file(info.dli_fname);
  file.remove_prefix(std::min(file.size(), file.rfind('/') + 1));
  const auto offset = static_cast<uint64_t>(static_cast<const char*>(address) -
                                            static_cast<const char*>(info.dli_fbase));
  const std::string function =
      info.dli_sname == nullptr ? "" : ShortFunctionName(Demangle(info.dli_sname));
  return std::string(file) + ": " + WithOffset(function, offset);
}

std::string ShortFunctionName(std::string_view demangled) {
  constexpr std::string_view kNoise[] = {"(anonymous namespace)::", "breakeven::"};
  std::string name(demangled);
  for (const std::string_view noise : kNoise) {
    for (size_t at = name.find(noise); at != std::string::npos; at = name.find(noise)) {
      name.erase(at, noise.size());
    }
  }
  const size_t arguments = name.find('(');
  return arguments == 0 || arguments == std::string::npos ? name : name.substr(0, arguments);
}

}  // namespace breakeven
