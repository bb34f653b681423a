// Pure. What every back end asks of the buffers it is handed.
#ifndef BREAKEVEN_COMM_BUFFER_CHECK_H_
#define BREAKEVEN_COMM_BUFFER_CHECK_H_

#include <string>

#include "comm/base/error.h"
#include "comm/device.h"

namespace breakeven {

// A broken caller, not a broken network: kInternal. `device` is where this back end's buffers lie.
inline void CheckBuffer(const Buffer& buffer, Device device) {
  BE_CHECK(buffer.count >= 0, "count " + std::to_string(buffer.count));
  BE_CHECK(buffer.count == 0 || buffer.data != nullptr, "no data");
  BE_CHECK(buffer.device.is_cuda() || !device.is_cuda(), "this back end moves device memory only");
  BE_CHECK(device.is_cuda() || !buffer.device.is_cuda(), "this back end moves host memory only");
  BE_CHECK(buffer.device == device, "memory of device " + std::to_string(buffer.device.index) +
                                        ", this rank's is " + std::to_string(device.index));
}
inline void CheckHostBuffer(const Buffer& buffer) { CheckBuffer(buffer, Device{}); }

// `whole` holds one part of `part`'s size for each rank.
inline void CheckParts(const Buffer& whole, const Buffer& part, int world_size,
                       Device device = {}) {
  CheckBuffer(whole, device);
  CheckBuffer(part, device);
  BE_CHECK(whole.dtype == part.dtype, "the two buffers differ in dtype");
  BE_CHECK(whole.count == part.count * world_size, std::to_string(whole.count) + " elements for " +
                                                       std::to_string(world_size) + " ranks of " +
                                                       std::to_string(part.count));
}

// The address of element `index`.
inline char* At(const Buffer& buffer, int64_t index) {
  return static_cast<char*>(buffer.data) + index * SizeOf(buffer.dtype);
}

// Part `part` of `num_parts` of equal size.
inline Buffer PartOf(const Buffer& whole, int part, int num_parts) {
  BE_CHECK(whole.count % num_parts == 0,
           std::to_string(whole.count) + " elements in " + std::to_string(num_parts) + " parts");
  const int64_t count = whole.count / num_parts;
  return {At(whole, part * count), count, whole.dtype, whole.device};
}

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BUFFER_CHECK_H_
