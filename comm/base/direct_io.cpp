#include "comm/base/direct_io.h"

#include <fcntl.h>

#include <new>

namespace breakeven {

DirectBuffer MakeDirectBuffer() {
  void* const block = std::aligned_alloc(kDirectAlignment, kDirectBytes);
  if (block == nullptr) throw std::bad_alloc();
  return DirectBuffer(static_cast<char*>(block));
}

bool SetDirect(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  return ::fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

}  // namespace breakeven
