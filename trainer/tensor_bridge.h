// Between tensors and what comm/ knows: devices, buffers, streams. Needs ATen.
//
// Streams. All ATen work of a rank on a GPU is on the device's default stream (the "compute stream"
// here): it is ATen's current stream unless somebody sets another, which nobody here does, and
// autograd's threads run every node on the stream of its forward pass. Collectives are on the
// communicator's stream, which the device does not order with it: InOrder does.
#ifndef BREAKEVEN_TRAINER_TENSOR_BRIDGE_H_
#define BREAKEVEN_TRAINER_TENSOR_BRIDGE_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>

#include "comm/communicator.h"

namespace breakeven {

at::Device ToAten(const Device& device);
Device FromAten(const at::Device& device);
// Empty on CPU.
Stream ComputeStream(const at::Device& device);
// A contiguous tensor's elements, not owned. float32, float64, bfloat16, int32 or int64.
Buffer BufferOf(const at::Tensor& tensor);

// Once before the first tensor of a process on a GPU: brings libtorch's CUDA half in. It is not linked,
// for it would cost every CPU rank 365 MB and half a second. `deterministic`: the same bits again, from
// operations that would otherwise add in any order; the first call must say so, for cuBLAS asks the
// environment once. Nothing to do on CPU. Error: kMachine.
void PrepareDevice(const Device& device, bool deterministic = false);

// The first number of a GPU's compute capability; 0 of a CPU.
int ComputeCapability(const at::Device& device);

// A flat tensor over memory of data.Allocate on this device.
struct FlatBuffer {
  Memory memory;  // released behind all work of the compute stream
  at::Tensor values;
};
// COLLECTIVE. Zeroed. The buffer must go before data.Close().
FlatBuffer AllocateFlat(Communicator& data, int64_t num_elements, const at::Device& device,
                        at::ScalarType type = at::kFloat);

// COLLECTIVE. Of memory that the ranks have in common (Communicator::AllocateShared), on CPUs. `values` is undefined on all
// ranks where there is none.
FlatBuffer AllocateSharedFlat(Communicator& data, int64_t num_elements,
                              at::ScalarType type = at::kFloat);

// A flat float32 tensor of this rank's own, which no collective reads. Zeroed; on CPUs its pages come when they are first
// written (host_memory.h). Error: kMachine.
at::Tensor AllocateOwnFlat(int64_t num_elements, const at::Device& device);

// Runs `work`. Error(kMachine) with `remedy` in place of libtorch's own exception where a GPU has no memory for it.
void WithDeviceMemory(const std::string& remedy, const std::function<void()>& work);

// Collectives that read what the compute stream has written so far, and whose results its later work
// reads: work(data's stream) between the two waits. The host waits for nothing. On CPU just work.
void InOrder(Communicator& data, const at::Device& device,
             const std::function<void(Stream)>& collectives);
// The two halves, for collectives that run beside computation.
void LetCollectivesFollow(Communicator& data, const at::Device& device);
void LetComputationFollow(Communicator& data, const at::Device& device);

// The host waits for all of the device's compute stream.
void AwaitCompute(const at::Device& device);

// A copy in host memory; the tensor itself where it is there.
at::Tensor OnHost(const at::Tensor& tensor);

// Most memory of this rank: of a GPU what ATen has held there and the flat buffers that there are now,
// of a CPU the process's (process_resources.h).
int64_t PeakBytesOn(const at::Device& device);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_TENSOR_BRIDGE_H_
