// A token dataset in HDF5, through the mapping and through H5Dread.
//
// Every byte of such a file stands under a hash: HDF5's metadata under its checksums, the rest under
// our content and block hashes. Left alone, the fuzzer would see nothing but refusals by hash; who
// makes a file in order to harm makes the hashes right. So the mutator renews HDF5's checksums, and
// the target puts the hash that a refusal found in the place of the one that was expected.
//
// HDF5 1.10 itself does not stand metadata that are made to harm: it ends in free() and the like.
// So the checksums are renewed where values of attributes were mutated, which are ours to judge, and
// everywhere with BREAKEVEN_FUZZ_HDF5=1, to try another HDF5.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
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
    const InputFile input(bytes);
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

// Where the value of a named attribute begins and ends, as the object header's message has it
// (version 3): sizes, name, type, space, value.
struct Range {
  size_t begin = 0;
  size_t end = 0;
};
std::optional<Range> ValueOf(const std::string& bytes, std::string_view attribute) {
  constexpr size_t kSizes = 9;    // version, flags, sizes of name, type and space, character set
  constexpr size_t kMessage = 4;  // type, size, flags
  const std::string name = std::string(attribute) + '\0';
  const size_t at = bytes.find(name);
  if (at == std::string::npos || at < kSizes + kMessage) return std::nullopt;
  const size_t body = at - kSizes;
  const size_t skipped =
      Little(bytes, body + 2, 2) + Little(bytes, body + 4, 2) + Little(bytes, body + 6, 2) + kSizes;
  const Range value{body + skipped, body + Little(bytes, body - 3, 2)};
  if (value.begin >= value.end || value.end > bytes.size()) return std::nullopt;
  return value;
}

// Mutates the value of one attribute in its place. Not where metadata are damaged already: that
// would make them good for HDF5.
void MutateAttribute(std::string& bytes, std::minstd_rand& random) {
  std::string renewed = bytes;
  RenewMetadataChecksums(renewed);
  if (renewed != bytes) return;
  constexpr std::array<std::string_view, 9> kNames = {"split",
                                                      "tokenizer_fingerprint",
                                                      "template_fingerprint",
                                                      "config",
                                                      "source_hashes",
                                                      "counts",
                                                      "content_hash",
                                                      "format",
                                                      "vocab_size"};
  const std::optional<Range> value = ValueOf(bytes, kNames[random() % kNames.size()]);
  if (!value) return;
  const size_t width = value->end - value->begin;
  LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data() + value->begin), width, width);
  RenewMetadataChecksums(bytes);
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
  static const bool try_hdf5 = std::getenv("BREAKEVEN_FUZZ_HDF5") != nullptr;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (random() % 4 == 0) {
    MutateAttribute(bytes, random);
  } else {
    const size_t at = PlaceWithData(data, size, random);
    const size_t width = std::min<size_t>(size - at, size_t{1} << (random() % 6));
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data() + at), width, width);
    if (try_hdf5) RenewMetadataChecksums(bytes);
  }
  std::memcpy(data, bytes.data(), size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace breakeven;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  ExpectAnswer([&] { Read(bytes, true); });
  ExpectAnswer([&] { Read(bytes, false); });
  return 0;
}
