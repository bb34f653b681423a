#include "comm/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/buffer_check.h"
#include "comm/device_cuda.h"
#include "comm/nccl_backoff.h"
#include "comm/nccl_check.h"
#include "comm/nccl_launches.h"
#include "comm/nccl_link.h"
#include "comm/nccl_memory.h"
#include "comm/nccl_watch.h"
#include "comm/world.h"

namespace breakeven {
namespace {

ncclDataType_t TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return ncclFloat32;
    case DType::kBFloat16:
      return ncclBfloat16;
    case DType::kFloat64:
      return ncclFloat64;
    case DType::kInt32:
      return ncclInt32;
    case DType::kInt64:
      return ncclInt64;
    case DType::kUInt8:
      return ncclUint8;
  }
  BE_CHECK(false, "an unknown dtype");
  return ncclUint8;
}

ncclRedOp_t OpOf(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return ncclSum;
    case ReduceOp::kMax:
      return ncclMax;
    case ReduceOp::kMin:
      return ncclMin;
  }
  BE_CHECK(false, "an unknown operation");
  return ncclSum;
}

cudaStream_t HandleOf(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }
size_t Count(const Buffer& buffer) { return static_cast<size_t>(buffer.count); }

// The stream on which collectives run beside backward. Of the highest priority: its few blocks get the device as soon as
// they are ready, and the gradients they wait for are ready early. Not ordered with the default stream.
class HighPriorityStream {
 public:
  explicit HighPriorityStream(Device device) : device_(device) {
    UseCudaDevice(device);
    int least = 0;
    int greatest = 0;
    CheckCuda(cudaDeviceGetStreamPriorityRange(&least, &greatest),
              "cudaDeviceGetStreamPriorityRange");
    CheckCuda(cudaStreamCreateWithPriority(&handle_, cudaStreamNonBlocking, greatest),
              "cudaStreamCreateWithPriority");
  }
  ~HighPriorityStream() { cudaStreamDestroy(handle_); }
  HighPriorityStream(const HighPriorityStream&) = delete;
  HighPriorityStream& operator=(const HighPriorityStream&) = delete;
  Stream get() const { return {handle_, device_}; }

 private:
  Device device_;
  cudaStream_t handle_ = nullptr;
};

std::string PlaceOf(const Control& control, Device device) {
  return "rank " + std::to_string(control.rank()) + " on " + DescribeProcess().host +
         ", cuda:" + std::to_string(device.index);
}

// Keeps the call that is being done, for messages about what becomes of it on the device.
class CallKeeper final : public CollectiveObserver {
 public:
  explicit CallKeeper(CollectiveCall* current) : current_(current) {}
  void Begin(const CollectiveCall& call) override { *current_ = call; }
  void End(const CollectiveCall&) noexcept override {}

 private:
  CollectiveCall* const current_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<Control> control, Device device, const NcclOptions& options,
                   std::function<void(std::string_view)> end_job)
      : control_(std::move(control)),
        device_(device),
        options_(options),
        end_job_(std::move(end_job)),
        stream_(device),
        launches_(device),
        place_(PlaceOf(*control_, device)),
        link_(place_, device, options.abort_timeout_seconds) {
    AddObserver(std::make_unique<CallKeeper>(&current_));
    std::string id;
    try {
      CompareVersions();
      RunTogether(*control_, /*root_only=*/true, [&] { id = NcclLink::MakeId(); });
    } catch (const Error& error) {
      if (error.on_all_ranks()) control_->Close();  // so that the job can end in order
      throw;
    }
    control_->Broadcast(id, 0);
    // A rank that fails alone throws alone: the others may wait inside NCCL for it, and nobody would answer a question
    // whether all are well.
    link_.Open(id, world_size(), rank(), options_.init_timeout_seconds);
    watch_.emplace(options_.watch_interval_seconds, [this] { return Watch(); });
  }

  // Members go in reverse: the watch stops first, then the link aborts unless closed, then events and stream go.
  ~NcclCommunicator() override = default;

  int rank() const override { return control_->rank(); }
  int world_size() const override { return control_->world_size(); }
  std::string_view name() const override { return "nccl"; }
  Stream stream() const override { return stream_.get(); }

  Memory DoAllocate(int64_t num_bytes) override {
    Await(options_.collective_timeout_seconds);  // zeroing waits for the device without a deadline
    auto block = std::make_shared<NcclBlock>(*control_, link_, device_, num_bytes, &use_windows_,
                                             options_.collective_timeout_seconds);
    ++live_blocks_;
    void* data = block->data();
    return Memory(data, num_bytes, [this, block = std::move(block)]() mutable {
      AwaitQuietly();
      block.reset();
      --live_blocks_;
    });
  }

  void BeginGroup() override {
    BE_CHECK(!in_group_, "groups do not nest");
    link_.Run([](ncclComm*) { return ncclGroupStart(); },
              [] { return std::string("ncclGroupStart"); }, options_.collective_timeout_seconds);
    in_group_ = true;
  }

  void EndGroup() override {
    BE_CHECK(in_group_, "no group was begun");
    in_group_ = false;
    std::vector<std::pair<NcclLaunch, Stream>> grouped = std::exchange(grouped_, {});
    link_.Run([](ncclComm*) { return ncclGroupEnd(); },
              [&] {
                return "ncclGroupEnd of " + std::to_string(grouped.size()) + " collectives" +
                       (grouped.empty() ? "" : ", the first " + Describe(grouped.front().first));
              },
              options_.collective_timeout_seconds);
    for (const auto& [launch, stream] : grouped) Track(launch, stream);
  }

  void DoAllReduce(Buffer inout, ReduceOp op, Stream stream) override {
    CheckBuffer(inout, device_);
    LaunchCollective("ncclAllReduce", inout, stream, [&](ncclComm* comm, cudaStream_t handle) {
      return ncclAllReduce(inout.data, inout.data, Count(inout), TypeOf(inout.dtype), OpOf(op),
                           comm, handle);
    });
  }

  void DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream) override {
    CheckParts(in, out, world_size(), device_);
    LaunchCollective("ncclReduceScatter", in, stream, [&](ncclComm* comm, cudaStream_t handle) {
      return ncclReduceScatter(in.data, out.data, Count(out), TypeOf(in.dtype), OpOf(op), comm,
                               handle);
    });
  }

  void DoAllGather(Buffer in, Buffer out, Stream stream) override {
    CheckParts(out, in, world_size(), device_);
    LaunchCollective("ncclAllGather", out, stream, [&](ncclComm* comm, cudaStream_t handle) {
      return ncclAllGather(in.data, out.data, Count(in), TypeOf(in.dtype), comm, handle);
    });
  }

  void DoBroadcast(Buffer inout, int root, Stream stream) override {
    CheckBuffer(inout, device_);
    BE_CHECK(root >= 0 && root < world_size(), "root " + std::to_string(root));
    LaunchCollective("ncclBroadcast", inout, stream, [&](ncclComm* comm, cudaStream_t handle) {
      return ncclBroadcast(inout.data, inout.data, Count(inout), TypeOf(inout.dtype), root, comm,
                           handle);
    });
  }

  // Nothing says on the host when a collective has ended but waiting for it.
  void DoStartReduceScatter(Buffer inout, ReduceOp op, PieceDone done) override {
    BE_CHECK(!in_group_, "a started collective cannot be part of a group");
    const Buffer part = PartOf(inout, rank(), world_size());
    DoReduceScatter(inout, part, op, Stream{});
    if (!done) return;
    Await(options_.collective_timeout_seconds);
    done(0, part.count);
  }
  void DoComplete() override { Await(options_.collective_timeout_seconds); }

  // NCCL has no barrier: the host sees its own collectives end, then meets the others.
  void DoBarrier() override {
    BE_CHECK(!in_group_, "a barrier cannot be part of a group");
    Await(options_.collective_timeout_seconds);
    control_->Barrier();
  }

  void Abort(std::string_view reason) noexcept override {
    try {
      if (!reason.empty()) LogError(reason);
      link_.Fail("rank " + std::to_string(rank()) + " aborted: " + std::string(reason));
      end_job_(reason);
    } catch (...) {
      std::terminate();
    }
  }

  void DoClose() override {
    BE_CHECK(live_blocks_ == 0, std::to_string(live_blocks_) + " blocks of memory still in use");
    if (closed_) return;
    Await(options_.collective_timeout_seconds);
    watch_.reset();
    link_.Close(options_.close_timeout_seconds);
    control_->Close();
    closed_ = true;
  }

 private:
  void CompareVersions() {
    NcclVersions versions;
    RunTogether(*control_, /*root_only=*/false, [&] {
      versions = LoadedNccl();
      const NcclVersionVerdict verdict = JudgeNcclVersions(versions);
      if (verdict.fatal) throw Error(ErrorKind::kMachine, verdict.message);
      if (!verdict.message.empty() && rank() == 0) LogWarning(verdict.message);
    });
    // Ranks with different versions do not even agree on what they send when they meet.
    CheckSameOnAllRanks(*control_, ErrorKind::kMachine, "the version of NCCL that is loaded",
                        NcclVersionText(versions.loaded));
    use_windows_ = versions.loaded >= NCCL_VERSION(2, 27, 3);
    LogInfo("NCCL " + NcclVersionText(versions.loaded) + " (compiled against " +
            NcclVersionText(versions.compiled) + "), " + std::to_string(world_size()) + " ranks");
  }

  template <typename Work>
  void LaunchCollective(const char* call, const Buffer& buffer, Stream stream, const Work& work) {
    link_.Check();
    if (buffer.count == 0) return;
    BE_CHECK(!stream.device.is_cuda() || stream.device == device_, "a stream of another device");
    const Stream on = stream.device.is_cuda() ? stream : stream_.get();
    Launch({call, current_}, on, [&](ncclComm* comm) { return work(comm, HandleOf(on)); });
  }

  void Launch(const NcclLaunch& launch, Stream stream, const std::function<int(ncclComm*)>& work) {
    UseCudaDevice(device_);
    link_.Run(
        work, [&] { return Describe(launch); }, options_.collective_timeout_seconds);
    // In a group nothing is on the stream yet, so nothing can be recorded behind it.
    if (in_group_) {
      grouped_.emplace_back(launch, stream);
    } else {
      Track(launch, stream);
    }
  }

  // What runs and cannot be watched must not run: its memory could go under it.
  void Track(const NcclLaunch& launch, Stream stream) {
    try {
      launches_.Add(launch, stream);
    } catch (const Error& error) {
      link_.Fail(place_ + ": " + Describe(launch) + " is launched, but: " + error.what());
      throw;
    }
  }

  // The host waits for all that was launched, without being held by a device that does not end it.
  void Await(double timeout_seconds) {
    UseCudaDevice(device_);
    NcclBackoff backoff(timeout_seconds);
    for (;;) {
      link_.Check();
      const std::string reason = launches_.FindOverdue(timeout_seconds);
      if (!reason.empty()) {
        link_.Fail(place_ + ": " + reason);
        link_.Check();
      }
      if (launches_.empty()) return;
      backoff.Pause();
    }
  }

  // Before memory goes: what still uses it must have ended or been aborted.
  void AwaitQuietly() noexcept {
    try {
      Await(options_.collective_timeout_seconds);
    } catch (const std::exception&) {
      // Aborted: nothing of this communicator runs any more, and whoever calls it next is told why.
    }
  }

  // In the watch's thread. False: nothing more to look for.
  bool Watch() {
    UseCudaDevice(device_);
    const std::string reason = launches_.FindOverdue(options_.collective_timeout_seconds);
    if (!reason.empty() && link_.Fail(place_ + ": " + reason)) {
      LogError(place_ + ": " + reason);
    }
    return !link_.LooksFailed(/*log=*/true);
  }

  const std::unique_ptr<Control> control_;
  const Device device_;
  const NcclOptions options_;
  const std::function<void(std::string_view)> end_job_;
  HighPriorityStream stream_;
  NcclLaunches launches_;
  const std::string place_;
  NcclLink link_;
  std::optional<NcclWatch> watch_;
  bool use_windows_ = false;
  bool in_group_ = false;
  bool closed_ = false;
  CollectiveCall current_;  // what a Do… half was called for
  std::vector<std::pair<NcclLaunch, Stream>> grouped_;
  std::atomic<int> live_blocks_{0};
};

}  // namespace

std::unique_ptr<Communicator> MakeNcclCommunicator(std::unique_ptr<Control> control, Device device,
                                                   const NcclOptions& options,
                                                   std::function<void(std::string_view)> end_job) {
  BE_CHECK(device.is_cuda(), "NCCL moves device memory only");
  return std::make_unique<NcclCommunicator>(std::move(control), device, options,
                                            std::move(end_job));
}

}  // namespace breakeven
