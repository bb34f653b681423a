// The HDF5 token dataset, format 1 (every dataset and attribute is listed in README.md of this folder).
#ifndef BREAKEVEN_DATA_PIPELINE_TOKEN_DATASET_H_
#define BREAKEVEN_DATA_PIPELINE_TOKEN_DATASET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace breakeven {

inline constexpr int64_t kTokenDatasetFormat = 1;

// Half-open range of tokens, relative to the example, that carry loss.
struct TargetSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Attributes of the root group.
struct TokenDatasetInfo {
  int64_t format = kTokenDatasetFormat;
  std::string split;
  std::string tokenizer_fingerprint;
  std::string template_fingerprint;
  int64_t vocab_size = 0;
  std::string config;  // the prepare config, without thread counts and paths
  std::map<std::string, std::string> source_hashes;  // file name → hash
  std::map<std::string, int64_t> counts;             // dropped_too_long, removed_duplicates, …
  std::string content_hash;                          // over every other dataset and attribute
};

// One example while writing.
struct TokenExample {
  std::vector<int32_t> tokens;
  std::vector<TargetSpan> targets;
  uint64_t id = 0;     // source line
  uint64_t group = 0;  // hash of the group key
};

// Writes `path` durably (DurableFile's protocol). The same examples and info give the same bytes.
// info.content_hash is computed and set. Errors: kCannotCreate, kIo.
void WriteTokenDataset(const std::string& path, TokenDatasetInfo& info,
                       std::span<const TokenExample> examples);

// Writes `info` and `examples` as `folder`/`name`.h5, or, when they have more than `max_tokens_per_file` tokens (0 = no
// limit), as `name`-00000-of-000NN.h5 … and `name`.index.json, the index last. Every file carries the attributes of the
// whole set; info.content_hash becomes that of the set. Returns the path to open. Errors as WriteTokenDataset's.
std::string WriteTokenDatasetFiles(const std::string& folder, const std::string& name,
                                   TokenDatasetInfo& info, std::span<const TokenExample> examples,
                                   int64_t max_tokens_per_file);

struct TokenDatasetOptions {
  bool use_mmap = true;       // false: H5Dread, for file systems without mmap
  bool verify_tokens = true;  // each MiB against its hash on first touch
};

// Read-only view of a dataset file or of a *.index.json over several. Thread-safe. A file that is truncated in place
// while it is mapped ends the process (SIGBUS): replace datasets by renaming. Errors: kBadData naming the file,
// what was found and expected: not HDF5, truncated, another format, external storage or foreign filters, offsets out
// of the file, spans out of their example, tokens >= vocab_size, hash mismatch.
class TokenDataset {
 public:
  static std::unique_ptr<TokenDataset> Open(const std::string& path,
                                            const TokenDatasetOptions& options = {});
  ~TokenDataset();
  TokenDataset(const TokenDataset&) = delete;
  TokenDataset& operator=(const TokenDataset&) = delete;

  const TokenDatasetInfo& info() const;
  const std::string& path() const;
  int64_t num_examples() const;
  int64_t num_tokens() const;   // over all examples
  int64_t num_targets() const;  // over all examples
  int64_t example_tokens(int64_t example) const;
  int64_t example_targets(int64_t example) const;  // target tokens that have a predictor
  std::span<const TargetSpan> target_spans(int64_t example) const;
  uint64_t example_id(int64_t example) const;
  uint64_t example_group(int64_t example) const;
  // Widens into `out`, whose size is example_tokens(example).
  void ReadTokens(int64_t example, std::span<int64_t> out) const;
  // Opens the files again, reads and hashes everything, index included. Throws at the first difference.
  void Verify() const;

 private:
  struct Impl;
  explicit TokenDataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKEN_DATASET_H_
