#include "comm/base/hash.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "comm/base/direct_io.h"
#include "comm/base/durable_file.h"
#include "comm/base/error.h"

namespace breakeven {

uint64_t Hash64(const void* data, size_t num_bytes) {
  return num_bytes == 0 ? XXH3_64bits("", 0) : XXH3_64bits(data, num_bytes);
}

std::string HashHex(uint64_t hash) {
  static const char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, hash >>= 4) text[static_cast<size_t>(i)] = digits[hash & 15];
  return text;
}

// XXH3's state wants 64-byte alignment, which its own allocator gives.
struct Hasher::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;

void Hasher::Update(const void* data, size_t num_bytes) {
  if (num_bytes > 0) XXH3_64bits_update(state_->xxh, data, num_bytes);
}

void Hasher::UpdateField(std::string_view text) {
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) {
    length[i] = static_cast<unsigned char>(static_cast<uint64_t>(text.size()) >> (8 * i));
  }
  Update(length, sizeof(length));
  Update(text);
}

uint64_t Hasher::Digest() const { return XXH3_64bits_digest(state_->xxh); }

namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;  // of what may be in the cache: stays in the CPU's

uint64_t HashOfFile(const std::string& path, bool direct) {
  const DirectBuffer piece = MakeDirectBuffer();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(KindOfReadError(errno), path + ": cannot open: " + std::strerror(errno));
  }
  direct = direct && SetDirect(fd, true);
  Hasher hasher;
  for (;;) {
    const ssize_t got = ::read(fd, piece.get(), direct ? kDirectBytes : kPieceBytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL && direct && SetDirect(fd, false)) {
      direct = false;
      continue;
    }
    if (got < 0) {
      const int error = errno;
      ::close(fd);
      throw Error(KindOfReadError(error), path + ": cannot read: " + std::strerror(error));
    }
    if (got == 0) break;
    hasher.Update(piece.get(), static_cast<size_t>(got));
  }
  ::close(fd);
  return hasher.Digest();
}

}  // namespace

uint64_t HashFile(const std::string& path) { return HashOfFile(path, /*direct=*/false); }

uint64_t HashFileOnDisk(const std::string& path) { return HashOfFile(path, /*direct=*/true); }

}  // namespace breakeven
