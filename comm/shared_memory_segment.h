// Pure. A piece of memory that the processes of one node share.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_SEGMENT_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_SEGMENT_H_

#include <cstdint>
#include <memory>
#include <string>

namespace breakeven {

// Where the memory comes from.
enum class SegmentSource {
  kMemfd,   // memfd_create; others open it through /proc. Needs no /dev/shm, leaves no name behind
  kDevShm,  // a file in /dev/shm, for ranks that do not see each other's /proc (one container each)
  kProcess,  // plain memory of this process: ranks that are threads, in tests
};

// Owned: unmapped with this object. Move only. All errors are Error(kMachine); what they say is a reason, to be put behind
// "no shared memory: ".
class SharedSegment {
 public:
  SharedSegment() = default;
  ~SharedSegment();
  SharedSegment(SharedSegment&& other) noexcept { *this = std::move(other); }
  SharedSegment& operator=(SharedSegment&& other) noexcept;
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  // Zeroed, reserved to the last byte (so that no later access meets a full file system: that would be SIGBUS), on this
  // rank's NUMA node. Aligned to a page; from 2 MiB on to 2 MiB and on huge pages where the kernel has them.
  static SharedSegment Create(SegmentSource source, int64_t num_bytes);
  // The same once every part is filled, not before.
  static SharedSegment CreateUnfilled(SegmentSource source, int64_t num_bytes);
  // Another rank's, by the name() that it told; its creator must not have called Seal() yet.
  static SharedSegment Open(const std::string& name);
  // Zeroes and reserves one of `num_parts` parts, before Seal(). Clearing pages is what a segment costs: each rank that
  // opened it may fill a part, all at the same time.
  void Fill(int part, int num_parts);
  // By its creator, once all others have opened it: nothing is left by which it could be found.
  void Unlink();
  // Unlink(), and no Fill() any more.
  void Seal();

  void* data() const { return data_; }
  int64_t num_bytes() const { return num_bytes_; }
  const std::string& name() const { return name_; }

 private:
  void Map(int fd);
  void Release();

  SegmentSource source_ = SegmentSource::kProcess;
  bool owner_ = false;
  int fd_ = -1;
  std::shared_ptr<void> plain_;  // kProcess: the memory itself, held by all that opened it
  void* data_ = nullptr;
  int64_t num_bytes_ = 0;
  std::string name_;
};

// Of another rank's memory that this one has read and will not read soon: its whole pages no longer count in this process's
// resident size. They stay what they are, and come back when they are touched. Not for kProcess: plain memory would be lost.
void ForgetPages(const void* data, int64_t num_bytes);

// "/dev/shm is 64 MiB, 3 MiB of them free", for messages.
std::string DescribeDevShm();

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_SEGMENT_H_
