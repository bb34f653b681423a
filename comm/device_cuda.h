// Pure. The CUDA devices that this process may use, seen through the CUDA runtime alone.
#ifndef BREAKEVEN_COMM_DEVICE_CUDA_H_
#define BREAKEVEN_COMM_DEVICE_CUDA_H_

#include <cstdint>
#include <string>
#include <vector>

namespace breakeven {

struct CudaDevice {
  std::string name;
  std::string pci_bus_id;  // tells two ranks on one device apart from two devices
  int64_t memory_bytes = 0;
};

// By ordinal, after CUDA_VISIBLE_DEVICES. `reason` says why there are none: no driver, a driver too old for this runtime,
// no device. Throws nothing.
struct CudaDevices {
  std::vector<CudaDevice> devices;
  std::string reason;
};
CudaDevices VisibleCudaDevices();

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_DEVICE_CUDA_H_
