// Pure.
#include "comm/communicator.h"

#include <utility>

#include "comm/base/fault_point.h"

namespace breakeven {

std::string_view CollectiveName(Collective collective) {
  static constexpr std::string_view kNames[] = {"nothing",       "Allocate",  "AllReduce",
                                                "ReduceScatter", "AllGather", "Broadcast",
                                                "Barrier",       "Close"};
  return kNames[static_cast<size_t>(collective)];
}

std::string_view DTypeName(DType dtype) {
  static constexpr std::string_view kNames[] = {"float32", "bfloat16", "float64",
                                                "int32",   "int64",    "uint8"};
  return kNames[static_cast<size_t>(dtype)];
}

std::string CollectiveCall::Text() const {
  static constexpr const char* kOps[] = {"sum", "max", "min"};
  std::string text(CollectiveName(collective));
  text += ", call " + std::to_string(sequence);
  if (collective == Collective::kAllocate) return text + ": " + std::to_string(count) + " bytes";
  if (collective == Collective::kBarrier || collective == Collective::kClose) return text;
  const bool reduces =
      collective == Collective::kAllReduce || collective == Collective::kReduceScatter;
  text += reduces ? std::string(": ") + kOps[static_cast<size_t>(op)] + " of " : ": ";
  text += std::to_string(count) + " " + std::string(DTypeName(dtype));
  if (collective == Collective::kBroadcast) text += " from rank " + std::to_string(root);
  return text;
}

std::string CollectiveCall::Site() const {
  // The compiler wrote the whole path: the last folder and the file are enough to find it.
  const std::string_view path = site.file_name();
  const size_t file = path.rfind('/');
  const size_t folder =
      file == std::string_view::npos || file == 0 ? file : path.rfind('/', file - 1);
  const std::string_view name = folder == std::string_view::npos ? path : path.substr(folder + 1);
  return std::string(name) + ":" + std::to_string(site.line());
}

template <typename Work>
auto Communicator::Observed(CollectiveCall call, const Work& work) {
  call.sequence = num_calls_++;
  struct Observation {
    const Communicator& communicator;
    const CollectiveCall& call;
    size_t num_begun = 0;
    ~Observation() {
      while (num_begun > 0) communicator.observers_[--num_begun]->End(call);
    }
  } observation{*this, call};
  for (const auto& observer : observers_) {
    observer->Begin(call);
    ++observation.num_begun;
  }
  return work();
}

Memory Communicator::Allocate(int64_t num_bytes, std::source_location site) {
  return Observed({.collective = Collective::kAllocate, .count = num_bytes, .site = site},
                  [&] { return DoAllocate(num_bytes); });
}

void Communicator::AllReduce(Buffer inout, ReduceOp op, Stream stream, std::source_location site) {
  FaultPoint("comm.all_reduce", kCallNumber);
  Observed({.collective = Collective::kAllReduce,
            .count = inout.count,
            .dtype = inout.dtype,
            .op = op,
            .site = site},
           [&] { DoAllReduce(inout, op, stream); });
}

void Communicator::ReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream,
                                 std::source_location site) {
  Observed({.collective = Collective::kReduceScatter,
            .count = in.count,
            .dtype = in.dtype,
            .op = op,
            .site = site},
           [&] { DoReduceScatter(in, out, op, stream); });
}

void Communicator::AllGather(Buffer in, Buffer out, Stream stream, std::source_location site) {
  Observed(
      {.collective = Collective::kAllGather, .count = out.count, .dtype = out.dtype, .site = site},
      [&] { DoAllGather(in, out, stream); });
}

void Communicator::Broadcast(Buffer inout, int root, Stream stream, std::source_location site) {
  Observed({.collective = Collective::kBroadcast,
            .count = inout.count,
            .dtype = inout.dtype,
            .root = root,
            .site = site},
           [&] { DoBroadcast(inout, root, stream); });
}

void Communicator::Barrier(std::source_location site) {
  Observed({.collective = Collective::kBarrier, .site = site}, [&] { DoBarrier(); });
}

void Communicator::Close(std::source_location site) {
  Observed({.collective = Collective::kClose, .site = site}, [&] { DoClose(); });
  for (const auto& observer : observers_) observer->Close();
}

void Communicator::AddObserver(std::unique_ptr<CollectiveObserver> observer) {
  observers_.push_back(std::move(observer));
}

}  // namespace breakeven
