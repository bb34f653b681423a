// A token dataset in HDF5, through the mapping and through H5Dread.
//
// Every byte of such a file stands under a hash: HDF5's metadata under its checksums, the rest under
// our content and block hashes. Left alone, the fuzzer would see nothing but refusals by hash; who
// makes a file in order to harm makes the hashes right. So the mutator renews HDF5's checksums, and
// the target puts the hash that a refusal found in the place of the one that was expected.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "data_pipeline/token_dataset.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
// HDF5's own, exported but in no public header.
extern "C" uint32_t H5_checksum_metadata(const void* data, size_t size, uint32_t initial);

namespace breakeven {
namespace {

void Use(const TokenDataset& dataset) {
  int64_t tokens = 0;
  for (int64_t i = 0; i < dataset.num_examples(); ++i) {
    std::vector<int64_t> example(static_cast<size_t>(dataset.example_tokens(i)));
    dataset.ReadTokens(i, example);
    for (const int64_t token : example) {
      BE_CHECK(token >= 0 && token < dataset.info().vocab_size, std::to_string(token));
    }
    for (const TargetSpan& span : dataset.target_spans(i)) {
      BE_CHECK(span.begin < span.end && span.end <= example.size(), std::to_string(span.end));
    }
    tokens += dataset.example_tokens(i);
    dataset.example_id(i);
    dataset.example_group(i);
  }
  BE_CHECK(tokens == dataset.num_tokens(), std::to_string(tokens));
  dataset.Verify();
}

uint64_t Little(const std::string& bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count && at + i < bytes.size(); ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  }
  return value;
}

// Of the bytes [begin, end); the checksum stands behind them.
void RenewChecksum(std::string& bytes, size_t begin, size_t end) {
  if (begin >= end || end > bytes.size() || bytes.size() - end < 4) return;
  const uint32_t sum = H5_checksum_metadata(bytes.data() + begin, end - begin, 0);
  std::memcpy(bytes.data() + end, &sum, sizeof sum);
}

// The continuation blocks that the messages [begin, end) of an object header (version 2) name.
void RenewContinuations(std::string& bytes, size_t begin, size_t end, bool creation_order) {
  constexpr uint64_t kContinuation = 0x10;
  for (size_t at = begin; at + 4 <= end;) {
    const size_t body = at + (creation_order ? 6 : 4);
    if (Little(bytes, at, 1) == kContinuation) {
      const uint64_t block = Little(bytes, body, 8);
      const uint64_t size = Little(bytes, body + 8, 8);
      if (size > 4 && block < bytes.size() && size <= bytes.size() - block) {
        RenewChecksum(bytes, block, block + size - 4);
      }
    }
    at = body + Little(bytes, at + 1, 2);
  }
}

// The superblock (version 2) and every object header, as HDF5's file format specification lays them
// out; the writer's format has no other metadata with checksums.
void RenewMetadataChecksums(std::string& bytes) {
  constexpr size_t kSuperblock = 44;
  RenewChecksum(bytes, 0, kSuperblock);
  for (size_t at = bytes.find("OHDR"); at != std::string::npos; at = bytes.find("OHDR", at + 4)) {
    const uint64_t flags = Little(bytes, at + 5, 1);
    const size_t size_at = at + 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
    const size_t size_width = size_t{1} << (flags & 3);
    const size_t begin = size_at + size_width;
    const uint64_t size = Little(bytes, size_at, size_width);
    if (begin > bytes.size() || size > bytes.size() - begin) continue;
    RenewContinuations(bytes, begin, begin + size, (flags & 4) != 0);
    RenewChecksum(bytes, at, begin + size);
  }
}

// Hexadecimal digits behind `mark`.
std::optional<std::string> HashBehind(const std::string& message, const std::string& mark) {
  constexpr size_t kDigits = 16;
  const size_t at = message.find(mark);
  if (at == std::string::npos || message.size() - at - mark.size() < kDigits) return std::nullopt;
  return message.substr(at + mark.size(), kDigits);
}

std::string AsNumber(const std::string& hex) {
  uint64_t value = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Puts the hash that `message` found in the place of the one that it expected; false: it speaks of
// none.
bool RepairHash(std::string& bytes, const std::string& message) {
  const bool content = message.find("content hash: expected ") != std::string::npos;
  std::optional<std::string> expected = HashBehind(message, "expected hash ");
  std::optional<std::string> found = HashBehind(message, "found ");
  if (content) expected = HashBehind(message, "content hash: expected ");
  if (!expected || !found) return false;
  if (!content) {  // a block's, in binary
    expected = AsNumber(*expected);
    found = AsNumber(*found);
  }
  const size_t at = bytes.find(*expected);
  if (at == std::string::npos) return false;
  bytes.replace(at, found->size(), *found);
  RenewMetadataChecksums(bytes);
  return true;
}

void Read(std::string bytes, bool use_mmap) {
  // A block's hash is under the content hash: two repairs for each of a small file's blocks.
  constexpr int kRepairs = 4;
  for (int repair = 0; repair <= kRepairs; ++repair) {
    const MemoryFile input(bytes);
    try {
      const auto dataset = TokenDataset::Open(input.path(), {use_mmap, true});
      Use(*dataset);
      return;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInternal) throw;
      if (!RepairHash(bytes, error.what())) return;
    }
  }
}

// Where to mutate: the file is mostly the zeros between its aligned parts.
size_t PlaceWithData(const uint8_t* data, size_t size, std::minstd_rand& random) {
  for (int draw = 0; draw < 64; ++draw) {
    const size_t at = random() % size;
    const size_t end = std::min(size, at + 16);
    if (std::any_of(data + at, data + end, [](uint8_t byte) { return byte != 0; })) return at;
  }
  return random() % size;
}

}  // namespace
}  // namespace breakeven

// Mutates a few bytes in their place, so that the rest stays where the metadata say.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  using namespace breakeven;
  std::minstd_rand random(seed);
  if (size < 64 || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const size_t at = PlaceWithData(data, size, random);
  const size_t width = std::min<size_t>(size - at, size_t{1} << (random() % 6));
  std::array<uint8_t, 32> window{};
  std::copy_n(data + at, width, window.begin());
  LLVMFuzzerMutate(window.data(), width, width);
  std::copy_n(window.begin(), width, data + at);
  if (random() % 8 != 0) {
    std::string bytes(reinterpret_cast<const char*>(data), size);
    RenewMetadataChecksums(bytes);
    std::memcpy(data, bytes.data(), size);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  ExpectAnswer([&] { Read(bytes, true); });
  ExpectAnswer([&] { Read(bytes, false); });
  return 0;
}
