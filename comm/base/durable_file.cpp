#include "comm/base/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "comm/base/direct_io.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/base/hash.h"
#include "comm/base/own_file.h"

namespace breakeven {
namespace {

std::string FolderOf(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  const size_t slash = end == std::string::npos ? std::string::npos : path.find_last_of('/', end);
  if (slash == std::string::npos) return end == std::string::npos ? "/" : ".";
  const size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

std::string Reason(int error) {
  std::string text = WhyNotOpened(error);
  if (error == ENOSPC) text += ". Free some space there or choose another folder";
  if (error == EDQUOT) text += ". Your quota is used up: free some or choose another folder";
  if (error == EFBIG) text += ". The limit on file sizes is too low: see `ulimit -f`";
  if (error == EROFS) text += ". Choose another folder";
  return text;
}

std::string FreeBytes(const std::string& folder) {
  struct statvfs info;
  if (::statvfs(folder.c_str(), &info) != 0) return "free space unknown";
  const uint64_t bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  return std::to_string(bytes) + " bytes free there";
}

// The errno of a call that returned `result`, or the one that a test put in its place.
int FsyncErrno(int fd) {
  if (const int injected = InjectedErrno("durable_file.fsync", kCallNumber)) return injected;
  while (::fsync(fd) != 0) {
    if (errno != EINTR)
      return errno;  // a network file system may be interrupted, by the signal that asks to save too
  }
  return 0;
}

int RenameErrno(const std::string& from, const std::string& to) {
  if (const int injected = InjectedErrno("durable_file.rename", kCallNumber)) return injected;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

// A file system that cannot sync this kind of file says EINVAL; there is nothing more to be done on
// it.
void FsyncPath(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(ErrorKind::kIo, path + ": cannot open to fsync: " + std::strerror(errno));
  }
  const int error = FsyncErrno(fd);
  ::close(fd);
  if (error != 0 && error != EINVAL) {
    throw Error(ErrorKind::kIo, path + ": fsync failed: " + Reason(error));
  }
}

}  // namespace

struct DurableFile::State {
  std::string path;
  std::string temporary;
  int fd = -1;
  bool committed = false;
  bool failed =
      false;  // after a failed write or fsync the kernel may have dropped pages: never go on
  DirectBuffer buffer = MakeDirectBuffer();
  size_t buffered = 0;
  bool may_be_direct = false;  // until it turns out that it cannot
  bool direct = false;
  Hasher hasher;

  ~State() {
    if (fd >= 0) ::close(fd);
    if (!committed) ::unlink(temporary.c_str());
  }

  [[noreturn]] void Fail(const char* what, int error, int64_t needed_bytes) {
    failed = true;
    throw Error(ErrorKind::kIo, path + ": " + what + " failed (" + std::to_string(needed_bytes) +
                                    " bytes needed so far, " + FreeBytes(FolderOf(path)) +
                                    "): " + Reason(error) +
                                    ". Nothing stands under this name that "
                                    "did not before.");
  }

  void StartDirect() {
    if (may_be_direct && !direct) direct = may_be_direct = SetDirect(fd, true);
  }
  void EndDirect() {
    may_be_direct = false;
    if (direct) direct = !SetDirect(fd, false);
  }

  // All that is buffered.
  void WriteThrough(int64_t needed_bytes) {
    const char* data = buffer.get();
    while (buffered > 0) {
      const int injected = InjectedErrno("durable_file.write", kCallNumber);
      const ssize_t written = injected != 0 ? -1 : ::write(fd, data, buffered);
      const int error = injected != 0 ? injected : errno;
      if (written < 0 && error == EINTR) continue;
      if (written < 0 && error == EINVAL && direct) {  // this file system has no direct writes
        EndDirect();
        if (!direct) continue;
      }
      if (written < 0) Fail("writing", error, needed_bytes);
      data += written;
      buffered -= static_cast<size_t>(written);
      if (buffered % kDirectAlignment != 0) EndDirect();  // the disk is full, and will say so
    }
  }
};

DurableFile::DurableFile(const std::string& path, PageCache page_cache) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->temporary = path + ".tmp";
  state->may_be_direct = page_cache == PageCache::kAvoid;
  state->fd = OpenOwnFile(state->temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (state->fd < 0) {
    const int error = errno;
    state->committed = true;  // whatever stands under the temporary name is not ours to remove
    throw Error(ErrorKind::kCannotCreate,
                path + ": cannot create (through " + state->temporary + "): " + Reason(error));
  }
  state_ = state.release();
}

DurableFile::~DurableFile() { delete state_; }

void DurableFile::Write(const void* data, size_t num_bytes) {
  BE_CHECK(!state_->committed && !state_->failed, state_->path + " is written after its end");
  if (num_bytes == 0) return;
  num_bytes_ += static_cast<int64_t>(num_bytes);
  state_->hasher.Update(data, num_bytes);
  for (const char* bytes = static_cast<const char*>(data); num_bytes > 0;) {
    const size_t taken = std::min(num_bytes, kDirectBytes - state_->buffered);
    std::memcpy(state_->buffer.get() + state_->buffered, bytes, taken);
    state_->buffered += taken;
    bytes += taken;
    num_bytes -= taken;
    if (state_->buffered < kDirectBytes) return;
    state_->StartDirect();
    state_->WriteThrough(num_bytes_);
  }
}

void DurableFile::Commit() {
  BE_CHECK(!state_->committed && !state_->failed, state_->path + " is committed after its end");
  state_->EndDirect();  // the rest ends anywhere
  state_->WriteThrough(num_bytes_);
  if (const int error = FsyncErrno(state_->fd)) state_->Fail("fsync", error, num_bytes_);
  // NFS reports a late write error here, and Linux closes the descriptor in any case.
  const int close_error = ::close(std::exchange(state_->fd, -1)) == 0 ? 0 : errno;
  if (close_error != 0 && close_error != EINTR) state_->Fail("closing", close_error, num_bytes_);
  if (const int error = RenameErrno(state_->temporary, state_->path)) {
    state_->Fail("renaming", error, num_bytes_);
  }
  state_->committed = true;
  FsyncDirectory(FolderOf(state_->path));
}

uint64_t DurableFile::hash() const { return state_->hasher.Digest(); }

void WriteFileDurably(const std::string& path, std::string_view contents) {
  DurableFile file(path);
  file.Write(contents);
  file.Commit();
}

ErrorKind KindOfReadError(int error) {
  constexpr int kOfTheFile[] = {ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG};
  const auto* end = std::end(kOfTheFile);
  return std::find(std::begin(kOfTheFile), end, error) != end ? ErrorKind::kBadData
                                                              : ErrorKind::kIo;
}

std::string ReadFile(const std::string& path) {
  const auto fail = [&path](const char* what, int error) {
    throw Error(KindOfReadError(error), path + ": cannot " + what + ": " + std::strerror(error));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", errno);
  std::string contents;
  struct stat info;
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    contents.reserve(static_cast<size_t>(info.st_size));
  }
  std::vector<char> piece(size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      ::close(fd);
      fail("read", error);
    }
    if (got == 0) break;
    contents.append(piece.data(), static_cast<size_t>(got));
  }
  ::close(fd);
  return contents;
}

void FsyncDirectory(const std::string& path) { FsyncPath(path, O_DIRECTORY); }

void FsyncFile(const std::string& path) { FsyncPath(path, 0); }

void RenameDurably(const std::string& from, const std::string& to) {
  if (const int error = RenameErrno(from, to)) {
    throw Error(ErrorKind::kIo, from + ": cannot rename to " + to + ": " + Reason(error));
  }
  const std::string to_folder = FolderOf(to);
  const std::string from_folder = FolderOf(from);
  FsyncDirectory(to_folder);
  if (from_folder != to_folder) FsyncDirectory(from_folder);
}

void CreateFolders(const std::string& path) {
  struct stat info;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end == 0 ? 1 : end + 1);
    const std::string part = path.substr(0, end);
    if (part.empty() || part.back() == '/') continue;
    if (::mkdir(part.c_str(), 0777) == 0) {
      FsyncDirectory(FolderOf(part));
      continue;
    }
    const int error = errno;
    if (::stat(part.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    const std::string why = error == EEXIST ? "it exists and is not a folder" : Reason(error);
    throw Error(ErrorKind::kCannotCreate,
                path + ": cannot create this folder: " + part + ": " + why);
  }
}

}  // namespace breakeven
