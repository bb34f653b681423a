#include "trainer/tensor_bridge.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/device_cuda.h"
#include "comm/host_memory.h"
#include "trainer/process_resources.h"

namespace breakeven {
namespace {

DType DTypeOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DType::kFloat32;
    case at::kDouble:
      return DType::kFloat64;
    case at::kBFloat16:
      return DType::kBFloat16;
    case at::kInt:
      return DType::kInt32;
    case at::kLong:
      return DType::kInt64;
    default:
      break;
  }
  BE_CHECK(false, std::string("no collective takes ") + c10::toString(type));
  return DType::kUInt8;
}

std::atomic<int64_t> flat_bytes_on_gpu = 0;

void LoadCudaHalf() {
  // By its name: the run path of the program leads to the folder that libtorch_cpu.so came from.
  if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    throw Error(ErrorKind::kMachine,
                std::string("libtorch's CUDA half cannot be loaded: ") + ::dlerror() +
                    ". Build against a libtorch with CUDA, or set device: cpu.");
  }
  if (at::hasCUDA()) return;
  throw Error(ErrorKind::kMachine,
              "libtorch sees no GPU although the CUDA runtime does: its CUDA is newer than the "
              "driver, or libtorch was used before its CUDA half was loaded. Update the driver, or "
              "set device: cpu.");
}

}  // namespace

at::Device ToAten(const Device& device) {
  if (!device.is_cuda()) return at::kCPU;
  return {at::kCUDA, static_cast<c10::DeviceIndex>(device.index)};
}

Device FromAten(const at::Device& device) { return Device{device.is_cuda() ? device.index() : -1}; }

Stream ComputeStream(const at::Device& device) {
  return device.is_cuda() ? Stream{nullptr, FromAten(device)} : Stream{};
}

Buffer BufferOf(const at::Tensor& tensor) {
  BE_CHECK(tensor.is_contiguous(), "a buffer's elements stand side by side");
  return {tensor.mutable_data_ptr(), tensor.numel(), DTypeOf(tensor.scalar_type()),
          FromAten(tensor.device())};
}

void PrepareDevice(const Device& device, bool deterministic) {
  if (!device.is_cuda()) return;
  // cuBLAS reads it when its first handle is made.
  if (deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  static std::once_flag once;
  std::call_once(once, LoadCudaHalf);
  UseCudaDevice(device);
  // ATen does so at its first allocation; our first tensors lie in memory that is not its own.
  at::globalContext().lazyInitDevice(at::kCUDA);
  // Split sums of bfloat16 products stay in float32, as they do on CPUs.
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  if (!deterministic) return;
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  // It would fill every new tensor, to show who reads what nobody wrote.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

int ComputeCapability(const at::Device& device) {
  if (!device.is_cuda()) return 0;
  static const std::vector<CudaDevice> devices = VisibleCudaDevices().devices;
  return devices.at(static_cast<size_t>(device.index())).capability;
}

namespace {

FlatBuffer FlatOf(Memory memory, int64_t num_elements, const at::Device& device,
                  at::ScalarType type) {
  FlatBuffer flat{std::move(memory), {}};
  const at::TensorOptions options = at::TensorOptions().dtype(type).device(device);
  // The device is said, not asked of the pointer: this is memory that ATen has not made.
  flat.values = at::for_blob(flat.memory.data(), {num_elements})
                    .options(options)
                    .target_device(device)
                    .make_tensor();
  return flat;
}

}  // namespace

FlatBuffer AllocateSharedFlat(Communicator& data, int64_t num_elements, at::ScalarType type) {
  Memory memory = data.AllocateShared(num_elements * static_cast<int64_t>(c10::elementSize(type)));
  if (memory.data() == nullptr) return {};
  return FlatOf(std::move(memory), num_elements, at::kCPU, type);
}

FlatBuffer AllocateFlat(Communicator& data, int64_t num_elements, const at::Device& device,
                        at::ScalarType type) {
  const auto size = static_cast<int64_t>(c10::elementSize(type));
  if (device.is_cuda()) {
    // The communicator asks the driver, which has nothing of what ATen keeps for later.
    AwaitCompute(device);
    c10::getDeviceAllocator(at::kCUDA)->emptyCache();
  }
  FlatBuffer flat = FlatOf(data.Allocate(num_elements * size), num_elements, device, type);
  if (!device.is_cuda()) return flat;
  // The communicator waits for its own work on a block before it frees it; kernels are ours to await.
  auto block = std::make_shared<Memory>(std::move(flat.memory));
  flat_bytes_on_gpu += block->num_bytes();
  flat.memory = Memory(block->data(), block->num_bytes(), [block, device]() mutable {
    try {
      AwaitCompute(device);
    } catch (const std::exception& error) {
      LogWarning(error.what());  // a device that has failed runs no kernel any more
    }
    flat_bytes_on_gpu -= block->num_bytes();
    block.reset();
  });
  return flat;
}

at::Tensor AllocateOwnFlat(int64_t num_elements, const at::Device& device) {
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device);
  if (device.is_cuda()) {
    at::Tensor values;
    WithDeviceMemory("use optimizer.shard, or more GPUs",
                     [&] { values = at::zeros({num_elements}, options); });
    return values;
  }
  const auto size = static_cast<int64_t>(sizeof(float));
  auto memory = std::make_shared<Memory>(AllocateHostMemory(num_elements * size, nullptr));
  return at::for_blob(memory->data(), {num_elements})
      .options(options)
      .deleter([memory](void*) mutable { memory.reset(); })
      .make_tensor();
}

void WithDeviceMemory(const std::string& remedy, const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorKind::kMachine, std::string("the GPU's memory is full (") +
                                         error.what_without_backtrace() + "); " + remedy);
  }
}

void LetCollectivesFollow(Communicator& data, const at::Device& device) {
  Wait(data.stream(), Record(ComputeStream(device)));
}

void LetComputationFollow(Communicator& data, const at::Device& device) {
  Wait(ComputeStream(device), Record(data.stream()));
}

void InOrder(Communicator& data, const at::Device& device,
             const std::function<void(Stream)>& collectives) {
  LetCollectivesFollow(data, device);
  collectives(data.stream());
  LetComputationFollow(data, device);
}

void AwaitCompute(const at::Device& device) { Synchronize(ComputeStream(device)); }

at::Tensor OnHost(const at::Tensor& tensor) { return tensor.detach().cpu(); }

int64_t PeakBytesOn(const at::Device& device) {
  if (!device.is_cuda()) return PeakMemoryBytes();
  const c10::CachingDeviceAllocator::DeviceStats stats =
      c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(device.index());
  constexpr size_t kAggregate = 0;  // over small and large blocks
  return stats.reserved_bytes[kAggregate].peak + flat_bytes_on_gpu;
}

}  // namespace breakeven
