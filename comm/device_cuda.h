// Pure. The CUDA devices that this process may use, and the order of work on them, through the CUDA runtime alone.
#ifndef BREAKEVEN_COMM_DEVICE_CUDA_H_
#define BREAKEVEN_COMM_DEVICE_CUDA_H_

#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

#include "comm/device.h"

namespace breakeven {

struct CudaDevice {
  std::string name;
  std::string pci_bus_id;  // tells two ranks on one device apart from two devices
  int64_t memory_bytes = 0;
  int capability = 0;  // of the first kind: 8 for Ampere, 9 for Hopper
};

// By ordinal, after CUDA_VISIBLE_DEVICES. `reason` says why there are none: no driver, a driver too old for this runtime,
// no device. Throws nothing.
struct CudaDevices {
  std::vector<CudaDevice> devices;
  std::string reason;
};
CudaDevices VisibleCudaDevices();

// Whether this machine has an NVIDIA driver loaded, usable by this process or not.
bool HasCudaDriver();

// Numbers devices as nvidia-smi does, unless the user said otherwise (CUDA_DEVICE_ORDER). Before the first CUDA call of
// the process, and before it has threads that read the environment.
void PreferPciOrder();

// Makes `device` the calling thread's. Error: kMachine.
void UseCudaDevice(Device device);

// Of cudaMalloc, not zeroed. Error: kMachine.
Memory AllocateCudaMemory(Device device, int64_t num_bytes);

// Between host memory and `device`'s (`to` of WriteTo and `from` of ReadFrom are the device's): behind all work that the device has
// been given, before any that it will be, and done on return. On CPU a memcpy. For tests and measurements, not for steps.
void WriteTo(Device device, void* to, const void* from, int64_t num_bytes);
void ReadFrom(Device device, void* to, const void* from, int64_t num_bytes);

// The host waits until all that is on the stream has been done. Nothing to do on CPU. Error: kMachine.
void Synchronize(Stream stream);

// "My future work waits for your past work": Wait(mine, Record(yours)). The host waits for neither. On CPU both do
// nothing. Error: kMachine, as everything that the device refuses.
Event Record(Stream stream);
void Wait(Stream stream, const Event& event);

// The same as Record, of which the time is kept too. SecondsBetween waits until `end` has been reached; both must come from
// RecordTime. On CPU 0.
Event RecordTime(Stream stream);
double SecondsBetween(const Event& begin, const Event& end);

// Turns a cudaError_t other than cudaSuccess into Error(kMachine), naming the call, its place, CUDA's reason and the remedy.
void CheckCuda(int error, const char* call,
               std::source_location place = std::source_location::current());

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_DEVICE_CUDA_H_
