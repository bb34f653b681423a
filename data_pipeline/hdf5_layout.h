// Pure. What stands in a token dataset file of format 1 and what its content hash covers: shared by
// writer and reader. README.md of this folder describes the same for readers of other programs.
#ifndef BREAKEVEN_DATA_PIPELINE_HDF5_LAYOUT_H_
#define BREAKEVEN_DATA_PIPELINE_HDF5_LAYOUT_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "data_pipeline/token_dataset.h"

namespace breakeven {

// Tokens are hashed, and verified on first touch, in blocks of this many bytes; the last is
// shorter.
inline constexpr int64_t kBlockBytes = int64_t{1} << 20;
// Ids fit 16 bits up to this vocabulary.
inline constexpr int64_t kMaxVocab16 = 65536;

inline int64_t TokenBytes(int64_t vocab_size) { return vocab_size <= kMaxVocab16 ? 2 : 4; }

// Everything but the tokens, as it stands in the file. The owner of the arrays outlives the view.
struct TokenIndexView {
  int64_t num_tokens = 0;
  std::span<const uint64_t> example_offsets;      // [N+1]
  std::span<const TargetSpan> target_spans;       // [S]
  std::span<const uint64_t> target_span_offsets;  // [N+1]
  std::span<const uint32_t> num_targets;          // [N]
  std::span<const uint64_t> example_ids;          // [N]
  std::span<const uint64_t> groups;               // [N]
  std::span<const uint64_t> block_hashes;         // [ceil(token bytes / kBlockBytes)]
};

// Root attributes as text: numbers in decimal, maps as JSON. Without content_hash.
std::map<std::string, std::string> AttributesOf(const TokenDatasetInfo& info);
// The inverse. Error(kBadData) naming `path` when a number or JSON text is broken.
TokenDatasetInfo InfoFromAttributes(const std::map<std::string, std::string>& attributes,
                                    const std::string& path);

// XXH3-64 over attributes (without content_hash), then datasets, each in order of the name; the
// tokens take part through their count, type and block hashes. The bytes that are hashed are
// written down in README.md.
std::string ContentHash(const std::map<std::string, std::string>& attributes,
                        const TokenIndexView& index, int64_t token_bytes);

// Target tokens of an example that have a predictor: all but one at position 0.
uint32_t CountTargets(std::span<const TargetSpan> spans);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_HDF5_LAYOUT_H_
