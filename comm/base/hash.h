// Pure. XXH3: content hashes of files, tokens, configs and weights. Not for adversaries.
#ifndef BREAKEVEN_COMM_BASE_HASH_H_
#define BREAKEVEN_COMM_BASE_HASH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace breakeven {

uint64_t Hash64(const void* data, size_t num_bytes);
inline uint64_t Hash64(std::string_view text) { return Hash64(text.data(), text.size()); }

// 16 lower-case hexadecimal digits, the form in which hashes stand in attributes, manifests and records.
std::string HashHex(uint64_t hash);

// XXH3-64 of a stream of pieces: equal to Hash64 of their concatenation.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Update(const void* data, size_t num_bytes);
  void Update(std::string_view text) { Update(text.data(), text.size()); }
  // Length first, so that ("ab","c") and ("a","bc") differ.
  void UpdateField(std::string_view text);
  uint64_t Digest() const;
  std::string Hex() const { return HashHex(Digest()); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Hash of a whole file, read in pieces. Throws Error(kIo | kBadData) when it cannot be read.
uint64_t HashFile(const std::string& path);
// The same of what stands on the disk, past the page cache where the file system allows it.
uint64_t HashFileOnDisk(const std::string& path);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_HASH_H_
