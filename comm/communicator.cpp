// Pure.
#include "comm/communicator.h"

#include <utility>

#include "comm/base/fault_point.h"
#include "comm/buffer_check.h"

namespace breakeven {

Memory Communicator::Allocate(int64_t num_bytes, std::source_location site) {
  return calls_.Run({.collective = Collective::kAllocate, .count = num_bytes, .site = site},
                    [&] { return DoAllocate(num_bytes); });
}

Memory Communicator::AllocateShared(int64_t num_bytes, std::source_location site) {
  return calls_.Run({.collective = Collective::kAllocateShared, .count = num_bytes, .site = site},
                    [&] { return DoAllocateShared(num_bytes); });
}

void Communicator::AllReduce(Buffer inout, ReduceOp op, Stream stream, std::source_location site) {
  calls_.Run({.collective = Collective::kAllReduce,
              .count = inout.count,
              .dtype = inout.dtype,
              .op = op,
              .only_launches = inout.device.is_cuda(),
              .site = site},
             [&] {
               FaultPoint("comm.all_reduce", kCallNumber);
               DoAllReduce(inout, op, stream);
             });
}

void Communicator::ReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream,
                                 std::source_location site) {
  calls_.Run({.collective = Collective::kReduceScatter,
              .count = in.count,
              .dtype = in.dtype,
              .op = op,
              .only_launches = in.device.is_cuda(),
              .site = site},
             [&] { DoReduceScatter(in, out, op, stream); });
}

void Communicator::AllGather(Buffer in, Buffer out, Stream stream, std::source_location site) {
  calls_.Run({.collective = Collective::kAllGather,
              .count = out.count,
              .dtype = out.dtype,
              .only_launches = out.device.is_cuda(),
              .site = site},
             [&] { DoAllGather(in, out, stream); });
}

void Communicator::StartReduceScatter(Buffer inout, ReduceOp op, PieceDone done,
                                      std::source_location site) {
  calls_.Run({.collective = Collective::kStartReduceScatter,
              .count = inout.count,
              .dtype = inout.dtype,
              .op = op,
              .only_launches = inout.device.is_cuda() || !starts_wait(),
              .site = site},
             [&] { DoStartReduceScatter(inout, op, std::move(done)); });
}

void Communicator::StartAllGather(Buffer inout, std::source_location site) {
  calls_.Run({.collective = Collective::kStartAllGather,
              .count = inout.count,
              .dtype = inout.dtype,
              .only_launches = inout.device.is_cuda() || !starts_wait(),
              .site = site},
             [&] { DoStartAllGather(inout); });
}

void Communicator::Complete(std::source_location site) {
  calls_.Run({.collective = Collective::kComplete,
              .only_launches = stream().device.is_cuda(),
              .site = site},
             [&] { DoComplete(); });
}

void Communicator::DoStartReduceScatter(Buffer inout, ReduceOp op, PieceDone done) {
  const Buffer part = PartOf(inout, rank(), world_size());
  DoReduceScatter(inout, part, op, Stream{});
  if (done) done(0, part.count);
}

void Communicator::DoStartAllGather(Buffer inout) {
  DoAllGather(PartOf(inout, rank(), world_size()), inout, Stream{});
}

void Communicator::Broadcast(Buffer inout, int root, Stream stream, std::source_location site) {
  calls_.Run({.collective = Collective::kBroadcast,
              .count = inout.count,
              .dtype = inout.dtype,
              .root = root,
              .only_launches = inout.device.is_cuda(),
              .site = site},
             [&] { DoBroadcast(inout, root, stream); });
}

void Communicator::Barrier(std::source_location site) {
  calls_.Run({.collective = Collective::kBarrier, .site = site}, [&] { DoBarrier(); });
}

void Communicator::Close(std::source_location site) {
  calls_.Run({.collective = Collective::kClose, .site = site}, [&] { DoClose(); });
  calls_.Close();
}

}  // namespace breakeven
