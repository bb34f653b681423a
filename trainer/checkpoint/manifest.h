// Pure. manifest.json: the last file of a checkpoint, which makes it one.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_MANIFEST_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>

namespace breakeven {

inline constexpr int64_t kCheckpointFormat = 1;

struct FileRecord {
  int64_t num_bytes = 0;
  std::string hash;  // XXH3-64 of the content, HashHex
  bool operator==(const FileRecord&) const = default;
};

// {"format": 1, "step": …, "files": {path within the folder: {"bytes", "xxh3"}}, "hash": of all
// that stands before it}.
struct Manifest {
  int64_t step = 0;
  std::map<std::string, FileRecord> files;

  std::string ToJson() const;
  // Hash over everything: the identity of a checkpoint.
  std::string Hash() const;
};

// Error(kBadData) naming the file: missing, not JSON, another format, or its own hash does not fit.
Manifest ReadManifest(const std::string& folder);

// Reads every file that the manifest names and compares sizes and hashes. Returns the manifest.
// Error(kBadData) names the first file that is missing or differs, with found and expected.
Manifest VerifyCheckpoint(const std::string& folder);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_MANIFEST_H_
