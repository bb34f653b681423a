// Pure. Plain words for memory and its place, so that comm needs no tensor library and a trainer no CUDA headers.
#ifndef BREAKEVEN_COMM_DEVICE_H_
#define BREAKEVEN_COMM_DEVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace breakeven {

enum class DType { kFloat32, kBFloat16, kFloat64, kInt32, kInt64, kUInt8 };

constexpr int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return 1;
    case DType::kBFloat16:
      return 2;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
  }
  return 0;
}

// index < 0: host memory; else the CUDA device of that ordinal in this process.
struct Device {
  int index = -1;
  bool is_cuda() const { return index >= 0; }
  bool operator==(const Device&) const = default;
};

// `count` elements of `dtype` at `data`, not owned. ReduceScatter and AllGather: see communicator.h for their counts.
struct Buffer {
  void* data = nullptr;
  int64_t count = 0;
  DType dtype = DType::kFloat32;
  Device device;
};

enum class ReduceOp { kSum, kMax, kMin };

// Where work is done in order, not awaited by the host. On CPU (the default) there is no such queue: work is done when a
// call returns. On a CUDA device `handle` is a cudaStream_t, and null there is the device's default stream.
struct Stream {
  void* handle = nullptr;
  Device device;
};

// A point in a stream's work (cudaEvent_t), freed with its last copy; empty on CPU. See Record and Wait in device_cuda.h.
struct Event {
  std::shared_ptr<void> handle;
};

// A block that a communicator handed out, owned: released with this object. Move only.
class Memory {
 public:
  Memory() = default;
  Memory(void* data, int64_t num_bytes, std::function<void()> release)
      : data_(data), num_bytes_(num_bytes), release_(std::move(release)) {}
  ~Memory() { Release(); }
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept {
    if (this != &other) {
      Release();
      data_ = std::exchange(other.data_, nullptr);
      num_bytes_ = std::exchange(other.num_bytes_, 0);
      release_ = std::exchange(other.release_, nullptr);
    }
    return *this;
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* data() const { return data_; }
  int64_t num_bytes() const { return num_bytes_; }

 private:
  void Release() {
    if (release_) release_();
    release_ = nullptr;
  }
  void* data_ = nullptr;
  int64_t num_bytes_ = 0;
  std::function<void()> release_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_DEVICE_H_
