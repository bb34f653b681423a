// Pure.
#include "comm/all_reduce_subject.h"

#include <utility>

#include "comm/device_cuda.h"
#include "comm/host_memory.h"

namespace breakeven {
namespace {

Memory AllocatePlain(Device device, int64_t num_bytes) {
  return device.is_cuda() ? AllocateCudaMemory(device, num_bytes)
                          : AllocateHostMemory(num_bytes, nullptr);
}

class CommunicatorSubject final : public AllReduceSubject {
 public:
  CommunicatorSubject(std::unique_ptr<Communicator> communicator, bool allocated)
      : communicator_(std::move(communicator)), allocated_(allocated) {}

  std::string name() const override {
    return std::string(communicator_->name()) + (allocated_ ? "" : "_plain");
  }
  Device device() const override { return communicator_->stream().device; }
  void Reserve(int64_t num_bytes) override {
    memory_ = Memory();
    if (num_bytes == 0) return;
    memory_ = allocated_ ? communicator_->Allocate(num_bytes) : AllocatePlain(device(), num_bytes);
  }
  void* input() override { return memory_.data(); }
  const void* result() const override { return memory_.data(); }
  void Run(DType dtype, int64_t count, ReduceOp op) override {
    communicator_->AllReduce({memory_.data(), count, dtype, device()}, op, Stream{});
  }
  void Finish() override { Synchronize(communicator_->stream()); }
  void Barrier() override { communicator_->Barrier(); }
  void Close() override {
    memory_ = Memory();
    communicator_->Close();
  }

 private:
  std::unique_ptr<Communicator> communicator_;
  bool allocated_;
  Memory memory_;
};

}  // namespace

std::unique_ptr<AllReduceSubject> MakeCommunicatorSubject(
    std::unique_ptr<Communicator> communicator, bool allocated) {
  return std::make_unique<CommunicatorSubject>(std::move(communicator), allocated);
}

}  // namespace breakeven
