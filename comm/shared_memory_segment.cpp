// Pure.
#include "comm/shared_memory_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

#include "comm/base/aligned_mapping.h"
#include "comm/base/error.h"
#include "comm/base/fault_point.h"
#include "comm/world.h"

namespace breakeven {
namespace {

constexpr int64_t kPage = 4096;
constexpr auto kHugePage = static_cast<int64_t>(kHugePageBytes);
constexpr int64_t kMostBytes = int64_t{1} << 46;
#ifdef MADV_COLLAPSE
constexpr int kCollapse = MADV_COLLAPSE;
#else
constexpr int kCollapse = 25;  // of Linux 6.1, younger than Debian 12's header
#endif

[[noreturn]] void Refuse(const std::string& what, int error) {
  throw Error(ErrorKind::kMachine, what + ": " + std::strerror(error));
}

std::string Mebibytes(int64_t num_bytes) { return std::to_string(num_bytes >> 20) + " MiB"; }

[[noreturn]] void RefuseMemfd(int64_t num_bytes, int error) {
  const char* remedy = "let the container's seccomp profile allow memfd_create (Docker's own does)";
  if (error == EMFILE || error == ENFILE) remedy = "raise the limit of open files (ulimit -n)";
  if (error == ENOMEM) remedy = "free memory on this machine, or start fewer ranks on it";
  throw Error(ErrorKind::kMachine,
              "memfd_create on " + DescribeProcess().host + ", for " + Mebibytes(num_bytes) +
                  " of memory that ranks share: found " + std::strerror(error) +
                  ", expected a file descriptor. Remedy: " + remedy);
}

int Reserve(int fd, int64_t begin, int64_t num_bytes) {
  if (const int injected = InjectedErrno("shared_memory.reserve", kCallNumber)) return injected;
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd, begin, num_bytes);
  return error;
}

// Huge pages, whatever shmem_enabled says: one small page in each, then MADV_COLLAPSE, which fills the
// rest with zeros. Four times as quick as touching the small pages. One call for all: each begins by
// waiting for a kernel thread on every CPU, which takes a tick of the clock where a rank spins
// (measured: 257 calls for 514 MiB, 1.1 s). Where the kernel refuses the first (before 6.1, no huge
// page free) the block stays as it is; those that it refuses later stay small.
void MakeHuge(int fd, char* data, int64_t begin, int64_t end) {
  if (Reserve(fd, begin, kPage) != 0) return;
  if (::madvise(data + begin, static_cast<size_t>(kHugePage), kCollapse) != 0) return;
  for (int64_t page = begin + kHugePage; page < end; page += kHugePage) {
    if (Reserve(fd, page, kPage) != 0) return;
  }
  ::madvise(data + begin + kHugePage, static_cast<size_t>(end - begin - kHugePage), kCollapse);
}

// Mapped at a multiple of `alignment`, so that huge pages fit.
void* MapFile(int fd, int64_t num_bytes, int64_t alignment) {
  const size_t size = static_cast<size_t>(num_bytes);
  void* place = MapAligned(size, static_cast<size_t>(alignment), PROT_NONE, MAP_NORESERVE);
  if (place == nullptr) Refuse("mapping " + Mebibytes(num_bytes), errno);
  void* data = ::mmap(place, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED) {
    const int error = errno;
    ::munmap(place, size);
    Refuse("mapping " + Mebibytes(num_bytes), error);
  }
  return data;
}

std::string DevShmPath() {
  static std::atomic<int> count{0};
  return "/breakeven." + std::to_string(::getpid()) + "." + std::to_string(++count);
}

// Threads find each other's segments here.
std::mutex plain_mutex;
std::map<std::string, std::weak_ptr<void>>& PlainSegments() {
  static auto* segments = new std::map<std::string, std::weak_ptr<void>>();
  return *segments;
}

std::shared_ptr<void> MakePlain(int64_t num_bytes, int64_t alignment, std::string* name) {
  void* data = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(num_bytes));
  if (data == nullptr) Refuse(Mebibytes(num_bytes), ENOMEM);
  std::memset(data, 0, static_cast<size_t>(num_bytes));
  std::shared_ptr<void> memory(data, [](void* block) { std::free(block); });
  const std::lock_guard lock(plain_mutex);
  static int64_t count = 0;
  *name = "process " + std::to_string(++count) + " " + std::to_string(num_bytes);
  PlainSegments()[*name] = memory;
  return memory;
}

std::shared_ptr<void> FindPlain(const std::string& name) {
  const std::lock_guard lock(plain_mutex);
  std::shared_ptr<void> memory = PlainSegments()[name].lock();
  if (memory == nullptr) Refuse(name, ENOENT);
  return memory;
}

}  // namespace

SharedSegment::~SharedSegment() { Release(); }

SharedSegment& SharedSegment::operator=(SharedSegment&& other) noexcept {
  if (this == &other) return *this;
  Release();
  source_ = other.source_;
  owner_ = std::exchange(other.owner_, false);
  fd_ = std::exchange(other.fd_, -1);
  plain_ = std::move(other.plain_);
  data_ = std::exchange(other.data_, nullptr);
  num_bytes_ = std::exchange(other.num_bytes_, 0);
  name_ = std::move(other.name_);
  return *this;
}

void SharedSegment::Release() {
  Seal();
  if (data_ == nullptr) return;
  if (plain_ == nullptr) ::munmap(data_, static_cast<size_t>(num_bytes_));
  plain_.reset();
  data_ = nullptr;
}

void SharedSegment::Unlink() {
  if (source_ != SegmentSource::kDevShm || !std::exchange(owner_, false)) return;
  std::string kind, path;
  std::istringstream(name_) >> kind >> path;
  ::shm_unlink(path.c_str());
}

void SharedSegment::Seal() {
  Unlink();
  if (fd_ < 0) return;
  ::close(fd_);
  fd_ = -1;
}

void SharedSegment::Map(int fd) {
  data_ = MapFile(fd, num_bytes_, num_bytes_ >= kHugePage ? kHugePage : kPage);
}

SharedSegment SharedSegment::Create(SegmentSource source, int64_t num_bytes) {
  SharedSegment segment = CreateUnfilled(source, num_bytes);
  segment.Fill(0, 1);
  return segment;
}

SharedSegment SharedSegment::CreateUnfilled(SegmentSource source, int64_t num_bytes) {
  BE_CHECK(num_bytes > 0, "size " + std::to_string(num_bytes));
  if (num_bytes > kMostBytes) Refuse(Mebibytes(num_bytes), ENOMEM);
  const int64_t unit = num_bytes >= kHugePage ? kHugePage : kPage;
  SharedSegment segment;
  segment.source_ = source;
  segment.owner_ = true;
  segment.num_bytes_ = (num_bytes + unit - 1) / unit * unit;
  if (source == SegmentSource::kProcess) {
    segment.plain_ = MakePlain(segment.num_bytes_, unit, &segment.name_);
    segment.data_ = segment.plain_.get();
    return segment;
  }
  std::string place;
  if (source == SegmentSource::kMemfd) {
    const int injected = InjectedErrno("shared_memory.memfd", kCallNumber);
    segment.fd_ = injected != 0 ? -1 : ::memfd_create("breakeven", MFD_CLOEXEC);
    if (segment.fd_ < 0) RefuseMemfd(segment.num_bytes_, injected != 0 ? injected : errno);
    place = "memfd /proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(segment.fd_);
  } else {
    const std::string path = DevShmPath();
    segment.fd_ = ::shm_open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (segment.fd_ < 0) Refuse("/dev/shm" + path, errno);
    place = "devshm " + path;
  }
  struct stat status = {};
  ::fstat(segment.fd_, &status);
  segment.name_ = place + " " + std::to_string(segment.num_bytes_) + " " +
                  std::to_string(static_cast<uint64_t>(status.st_ino));
  if (::ftruncate(segment.fd_, segment.num_bytes_) != 0) Refuse("ftruncate", errno);
  segment.Map(segment.fd_);
  return segment;
}

void SharedSegment::Fill(int part, int num_parts) {
  if (source_ == SegmentSource::kProcess) return;  // it was born zeroed
  BE_CHECK(fd_ >= 0, "a part is filled after Seal");
  const int64_t unit = num_bytes_ >= kHugePage ? kHugePage : kPage;
  const int64_t num_units = num_bytes_ / unit;
  const int64_t begin = num_units * part / num_parts * unit;
  const int64_t end = num_units * (part + 1) / num_parts * unit;
  if (begin == end) return;
  if (unit == kHugePage) MakeHuge(fd_, static_cast<char*>(data_), begin, end);
  if (const int error = Reserve(fd_, begin, end - begin)) {
    const std::string where =
        source_ == SegmentSource::kDevShm ? " (" + DescribeDevShm() + ")" : "";
    Refuse(Mebibytes(num_bytes_) + where, error);
  }
}

SharedSegment SharedSegment::Open(const std::string& name) {
  SharedSegment segment;
  std::string kind, path;
  uint64_t inode = 0;
  std::istringstream(name) >> kind >> path >> segment.num_bytes_ >> inode;
  segment.name_ = name;
  if (kind == "process") {
    segment.plain_ = FindPlain(name);
    segment.data_ = segment.plain_.get();
    return segment;
  }
  segment.source_ = kind == "memfd" ? SegmentSource::kMemfd : SegmentSource::kDevShm;
  const int injected = InjectedErrno("shared_memory.open", kCallNumber);
  segment.fd_ = injected != 0     ? -1
                : kind == "memfd" ? ::open(path.c_str(), O_RDWR | O_CLOEXEC)
                                  : ::shm_open(path.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (segment.fd_ < 0) Refuse(path, injected != 0 ? injected : errno);
  // In another PID namespace the same number may be another process, and another file.
  struct stat status = {};
  const bool same = ::fstat(segment.fd_, &status) == 0 && status.st_ino == inode &&
                    status.st_size == segment.num_bytes_;
  if (!same) Refuse(path + " is not what the other rank made", ESTALE);
  segment.Map(segment.fd_);
  return segment;
}

void ForgetPages(const void* data, int64_t num_bytes) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t unit = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (address + unit - 1) / unit * unit;
  const uintptr_t end = (address + static_cast<uintptr_t>(num_bytes)) / unit * unit;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // advice
}

std::string DescribeDevShm() {
  struct statvfs status = {};
  if (::statvfs("/dev/shm", &status) != 0) {
    return std::string("/dev/shm: ") + std::strerror(errno);
  }
  const auto bytes = [&](uint64_t blocks) {
    return static_cast<int64_t>(blocks * static_cast<uint64_t>(status.f_frsize));
  };
  return "/dev/shm is " + Mebibytes(bytes(status.f_blocks)) + ", " +
         Mebibytes(bytes(status.f_bavail)) + " of them free";
}

}  // namespace breakeven
