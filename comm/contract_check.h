// Pure. The contract of collectives, checked before each one runs: same order, kind, count, dtype, op and root on every rank.
#ifndef BREAKEVEN_COMM_CONTRACT_CHECK_H_
#define BREAKEVEN_COMM_CONTRACT_CHECK_H_

#include <array>
#include <cstdint>
#include <string>

#include "comm/control.h"
#include "comm/device.h"
#include "comm/heartbeat.h"

namespace breakeven {

// What a rank is about to call. Plain bytes, sent between ranks.
struct CollectiveCall {
  static constexpr size_t kMostSites = 4;
  uint64_t number = 0;
  int64_t count = 0;  // elements; 0 where sizes may differ (texts)
  CollectiveKind kind = CollectiveKind::kNone;
  DType dtype = DType::kUInt8;
  ReduceOp op = ReduceOp::kSum;
  int32_t root = 0;
  std::array<uint64_t, kMostSites>
      sites{};  // callers, innermost first (code_names.h); not compared

  bool Matches(const CollectiveCall& other) const {
    return number == other.number && count == other.count && kind == other.kind &&
           dtype == other.dtype && op == other.op && root == other.root;
  }
};

// "AllReduce 31 (sum of 4096 float32), called in GradientBuckets::Launch (+0x4c2f1) < TrainingRun::Step (+0x3a0)".
std::string Describe(const CollectiveCall& call);

// The callers of a function whose return address is `caller`, as far as they are in this program.
std::array<uint64_t, CollectiveCall::kMostSites> CallersFrom(const void* caller);

// COLLECTIVE over `channel`, which carries nothing else of that plane at the time. Error(kInternal) on all ranks, naming rank 0 and the
// first rank that differs from it, with both calls.
void CheckSameCollective(Control& channel, std::string_view plane, const CollectiveCall& call);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_CONTRACT_CHECK_H_
