#include "comm/base/own_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

namespace breakeven {

int OpenOwnFile(const std::string& path, int flags) {
  return ::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0666);
}

std::string WhyNotOpened(int error) {
  if (error == ELOOP) {
    return "it is a symbolic link, and could lead to a file that is none of this folder. Delete "
           "the "
           "link if you trust the folder";
  }
  return std::strerror(error);
}

}  // namespace breakeven
