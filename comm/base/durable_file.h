// Files that survive a crash: written as `path`.tmp, fsynced, closed, renamed, directory fsynced (after a power cut, a
// rename without an fsync before it loses the old version as well as the new). Every return code is checked before the
// rename. Fault points: durable_file.write, durable_file.fsync, durable_file.rename, numbered by call.
#ifndef BREAKEVEN_COMM_BASE_DURABLE_FILE_H_
#define BREAKEVEN_COMM_BASE_DURABLE_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "comm/base/error.h"

namespace breakeven {

// What is read again soon belongs into the page cache; what is not goes past it where it can (direct_io.h).
enum class PageCache { kUse, kAvoid };

// Writes one file in pieces. Nothing stands under `path` until Commit() returns. Without Commit the destructor removes
// what was written. Errors: kCannotCreate on open, kIo on write/fsync/rename; messages name path, bytes needed and free.
class DurableFile {
 public:
  explicit DurableFile(const std::string& path, PageCache page_cache = PageCache::kUse);
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  void Write(const void* data, size_t num_bytes);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  void Commit();          // flush, fsync, close, rename, fsync the directory
  uint64_t hash() const;  // XXH3-64 of all that was written
  int64_t num_bytes() const { return num_bytes_; }

 private:
  struct State;
  State* state_;
  int64_t num_bytes_ = 0;
};

// A DurableFile in one call. Errors as there.
void WriteFileDurably(const std::string& path, std::string_view contents);
// Errors: KindOfReadError.
std::string ReadFile(const std::string& path);
// kBadData for an errno that says something of the file: missing, forbidden, a folder. Else kIo: a disk, a network file
// system, a lack of descriptors or memory.
ErrorKind KindOfReadError(int error);
// Error: kIo.
void FsyncDirectory(const std::string& path);
void FsyncFile(const std::string& path);  // for files that a library (HDF5) wrote
// Renames a file or folder that is already fsynced, then fsyncs the directory that holds it. Error: kIo.
void RenameDurably(const std::string& from, const std::string& to);
// Creates the folder and its parents. Error: kCannotCreate, naming the part that failed and why.
void CreateFolders(const std::string& path);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_DURABLE_FILE_H_
