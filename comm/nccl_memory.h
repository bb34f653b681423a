// Pure. Device memory that NCCL reduces without a copy: its own allocation, registered with the communicator.
#ifndef BREAKEVEN_COMM_NCCL_MEMORY_H_
#define BREAKEVEN_COMM_NCCL_MEMORY_H_

#include <cstdint>

#include "comm/control.h"
#include "comm/device.h"
#include "comm/nccl_link.h"

namespace breakeven {

// A block of ncclMemAlloc and its registration. As a window where every rank can (symmetric memory: NVLink, NVLS and copy
// engines without staging), else for this rank alone.
class NcclBlock {
 public:
  // COLLECTIVE. Zeroed when it returns. `use_windows`: whether to try; set to false when a rank has no windows, so that the
  // next block does not ask again. Errors, the same on all ranks: kMachine when a rank has too little memory.
  NcclBlock(Control& control, NcclLink& link, Device device, int64_t num_bytes, bool* use_windows,
            double timeout_seconds);
  // Local. Deregisters unless the link has failed (its abort has done so), and frees unless that abort did not come to its end.
  // The caller has waited for all work on the block.
  ~NcclBlock();
  NcclBlock(const NcclBlock&) = delete;
  NcclBlock& operator=(const NcclBlock&) = delete;

  void* data() const { return data_; }

 private:
  void AllocateZeroed(size_t size);
  void RegisterWindow(Control& control, size_t size, bool* use_windows);
  void Release() noexcept;

  NcclLink& link_;
  const Device device_;
  const double timeout_seconds_;
  void* data_ = nullptr;
  size_t size_ = 0;
  void* registration_ = nullptr;  // of ncclCommRegister
  void* window_ = nullptr;        // ncclWindow_t
};

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_NCCL_MEMORY_H_
