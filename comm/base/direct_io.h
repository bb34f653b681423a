// Reading and writing files past the page cache.
//
// A checkpoint is written once and read at the earliest when a job comes back. In the page cache it would push out what
// the job reads, and getting the pages and copying into them takes a core that is training from its work (measured: 0.5 s
// to 2.6 s of a core for 1 GB, past the cache 0.3 s).
#ifndef BREAKEVEN_COMM_BASE_DIRECT_IO_H_
#define BREAKEVEN_COMM_BASE_DIRECT_IO_H_

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace breakeven {

// What is read or written at once. Addresses, file offsets and sizes have to be multiples of the alignment.
inline constexpr size_t kDirectBytes = size_t{8} << 20;
inline constexpr size_t kDirectAlignment = 4096;

struct FreeDeleter {
  void operator()(void* block) const { std::free(block); }
};
using DirectBuffer = std::unique_ptr<char[], FreeDeleter>;

// kDirectBytes bytes, aligned. Costs nothing until it is touched. Throws std::bad_alloc.
DirectBuffer MakeDirectBuffer();

// Switches O_DIRECT of an open file. False where the file system has no such thing; a file system may also say EINVAL
// only when it is asked to read or write.
bool SetDirect(int fd, bool on);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_DIRECT_IO_H_
