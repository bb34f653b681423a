// Pure.
#include "comm/contract_check.h"

#include <execinfo.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "comm/base/code_names.h"
#include "comm/base/error.h"

namespace breakeven {
namespace {

constexpr std::string_view kDTypeNames[] = {"float32", "bfloat16", "float64",
                                            "int32",   "int64",    "uint8"};
constexpr std::string_view kOpNames[] = {"sum", "max", "min"};

bool Reduces(CollectiveKind kind) {
  return kind == CollectiveKind::kAllReduce || kind == CollectiveKind::kReduceScatter;
}

}  // namespace

std::string Describe(const CollectiveCall& call) {
  std::string text = std::string(CollectiveName(call.kind)) + " " + std::to_string(call.number);
  std::string what;
  if (Reduces(call.kind)) what = std::string(kOpNames[static_cast<size_t>(call.op)]) + " of ";
  if (call.count > 0 || Reduces(call.kind)) {
    what += std::to_string(call.count) + " " +
            std::string(kDTypeNames[static_cast<size_t>(call.dtype)]);
  }
  if (call.kind == CollectiveKind::kBroadcast) {
    what += (what.empty() ? "" : " ") + ("from rank " + std::to_string(call.root));
  }
  if (!what.empty()) text += " (" + what + ")";
  for (size_t i = 0; i < call.sites.size() && call.sites[i] != 0; ++i) {
    text += (i == 0 ? ", called in " : " < ") + NameOfCode(call.sites[i]);
  }
  return text;
}

std::array<uint64_t, CollectiveCall::kMostSites> CallersFrom(const void* caller) {
  std::array<void*, 32> frames{};
  const int num_frames = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  std::array<uint64_t, CollectiveCall::kMostSites> sites{};
  sites[0] = CodeOffset(caller);
  const auto end = frames.begin() + num_frames;
  auto at = std::find(frames.begin(), end, caller);
  for (size_t i = 1; i < sites.size() && at != end && ++at != end; ++i) {
    sites[i] = CodeOffset(*at);
    if (sites[i] == 0) break;
  }
  return sites;
}

void CheckSameCollective(Control& channel, std::string_view plane, const CollectiveCall& call) {
  const std::string_view bytes(reinterpret_cast<const char*>(&call), sizeof(call));
  const std::vector<std::string> all = channel.AllGather(bytes);
  const auto call_of = [&](size_t rank) {
    BE_CHECK(all[rank].size() == sizeof(CollectiveCall),
             "rank " + std::to_string(rank) + " checks no collectives of the " +
                 std::string(plane) + " plane: watchdog.check_collectives differs over ranks");
    CollectiveCall other;
    std::memcpy(&other, all[rank].data(), sizeof(other));
    return other;
  };
  const CollectiveCall first = call_of(0);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    const CollectiveCall other = call_of(rank);
    if (first.Matches(other)) continue;
    throw Error(ErrorKind::kInternal,
                "ranks do not call the same collective on the " + std::string(plane) +
                    " plane: rank 0 calls " + Describe(first) + "; rank " + std::to_string(rank) +
                    " calls " + Describe(other) +
                    ". Every rank must make the same calls in the same order.",
                /*on_all_ranks=*/true);
  }
}

}  // namespace breakeven
