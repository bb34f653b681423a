// HDF5 handles, locking and messages, without HDF5's header: only hdf5_*.cpp see that one.
#ifndef BREAKEVEN_DATA_PIPELINE_HDF5_FILE_H_
#define BREAKEVEN_DATA_PIPELINE_HDF5_FILE_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

namespace breakeven {

// hid_t of HDF5 1.10 and later.
using Hdf5Id = int64_t;

// Debian's HDF5 is built without thread safety, so every call is made under this one lock. It also
// silences the error stack that HDF5 would print by itself: the reason goes into our own messages.
class Hdf5Lock {
 public:
  Hdf5Lock();
  Hdf5Lock(const Hdf5Lock&) = delete;
  Hdf5Lock& operator=(const Hdf5Lock&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
};

// Owns an id. All members require Hdf5Lock.
class Hdf5Handle {
 public:
  using CloseFunction = int (*)(Hdf5Id);
  Hdf5Handle() = default;
  Hdf5Handle(Hdf5Id id, CloseFunction close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    if (this != &other) {
      Close();
      id_ = std::exchange(other.id_, -1);
      close_ = other.close_;
    }
    return *this;
  }
  ~Hdf5Handle() { Close(); }

  bool valid() const { return id_ >= 0; }
  Hdf5Id id() const { return id_; }
  // false when HDF5 could not: a write that was still buffered may have failed.
  bool Close() {
    const Hdf5Id id = std::exchange(id_, -1);
    return id < 0 || close_(id) >= 0;
  }

 private:
  Hdf5Id id_ = -1;
  CloseFunction close_ = nullptr;
};

// Why the last HDF5 call failed, in its own words: the outermost and the innermost entry of its
// error stack. Requires Hdf5Lock; call it before any other HDF5 function.
std::string Hdf5Reason();

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_HDF5_FILE_H_
