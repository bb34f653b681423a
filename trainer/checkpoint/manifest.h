// Pure. manifest.json: the last file of a checkpoint, which makes it one.
#ifndef BREAKEVEN_TRAINER_CHECKPOINT_MANIFEST_H_
#define BREAKEVEN_TRAINER_CHECKPOINT_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>

namespace breakeven {

// 1: one file of moments; 2: any number of parts. Both are read.
inline constexpr int64_t kCheckpointFormat = 2;

// Error(kBadData) naming `path` when this program does not read the format.
void CheckFormat(int64_t format, const std::string& path);

struct FileRecord {
  int64_t num_bytes = 0;
  std::string hash;  // XXH3-64 of the content, HashHex
  bool operator==(const FileRecord&) const = default;
};

using FileRecords = std::map<std::string, FileRecord>;  // by path within the folder

// {"format": 2, "step": …, "files": {path within the folder: {"bytes", "xxh3"}}, "hash": of all
// that stands before it}.
struct Manifest {
  int64_t format = kCheckpointFormat;
  int64_t step = 0;
  FileRecords files;

  std::string ToJson() const;
  // Hash over everything: the identity of a checkpoint.
  std::string Hash() const;
};

// "name": {"bytes", "xxh3"} of each file, and back: how ranks tell each other what they wrote.
std::string FormatRecords(const FileRecords& files);
FileRecords ParseRecords(const std::string& json);

// Error(kBadData) naming the file: missing, not JSON, another format, or its own hash does not fit.
Manifest ReadManifest(const std::string& folder);

// Reads the file and compares size and hash. Error(kBadData) with found and expected.
void VerifyFile(const std::string& path, const FileRecord& expected);
// The same of a file that this process has just written: what is on the disk, not what the page cache keeps of it.
void VerifyWrittenFile(const std::string& path, const FileRecord& expected);

// Reads every file that the manifest names and compares sizes and hashes. Returns the manifest.
// Error(kBadData) names the first file that is missing or differs, with found and expected.
Manifest VerifyCheckpoint(const std::string& folder);

// The same of the files that a model is read from, all but trainer_state/: a flipped bit would be scored, or trained on,
// silently. `weights_hash`: HashHex of model.safetensors where the caller has read it, or "". A folder without manifest.json,
// such as one of Hugging Face's, says nothing of its files and passes. Error(kBadData) also says the remedy.
void VerifyModelFiles(const std::string& folder, const std::string& weights_hash);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_CHECKPOINT_MANIFEST_H_
