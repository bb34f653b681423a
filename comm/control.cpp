// Pure.
#include "comm/control.h"

#include <algorithm>
#include <exception>
#include <new>
#include <optional>

namespace breakeven {
namespace {

// What a failed rank tells the others: the kind's number in front, the message behind.
std::string Pack(ErrorKind kind, const std::string& message) {
  return std::to_string(static_cast<int>(kind)) + ' ' + message;
}

Error Unpack(const std::string& text, const std::string& prefix) {
  const size_t space = text.find(' ');
  const int kind = std::stoi(text.substr(0, space));
  return Error(static_cast<ErrorKind>(kind), prefix + text.substr(space + 1),
               /*on_all_ranks=*/true);
}

std::optional<std::string> FailureOf(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    return Pack(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    return Pack(ErrorKind::kMachine, std::string(kOutOfMemory));
  } catch (const std::exception& error) {
    return Pack(ErrorKind::kInternal, error.what());
  } catch (...) {
    return Pack(ErrorKind::kInternal, "an exception of unknown type");
  }
}

// Of a long value only the neighbourhood of the first difference is worth reading.
std::string Excerpt(std::string_view value, size_t difference) {
  constexpr size_t kBefore = 60;
  constexpr size_t kLength = 160;
  const size_t begin = value.size() <= kLength || difference < kBefore ? 0 : difference - kBefore;
  std::string text = begin > 0 ? "…" : "";
  text += value.substr(std::min(begin, value.size()), kLength);
  if (begin + kLength < value.size()) text += "…";
  return "\"" + text + "\"";
}

}  // namespace

void Control::AllReduce(std::span<int64_t> values, ReduceOp op, std::source_location site) {
  calls_.Run({.collective = Collective::kAllReduce,
              .count = std::ssize(values),
              .dtype = DType::kInt64,
              .op = op,
              .site = site},
             [&] { DoAllReduce(values, op); });
}

void Control::AllReduce(std::span<double> values, ReduceOp op, std::source_location site) {
  calls_.Run({.collective = Collective::kAllReduce,
              .count = std::ssize(values),
              .dtype = DType::kFloat64,
              .op = op,
              .site = site},
             [&] { DoAllReduce(values, op); });
}

void Control::Broadcast(std::string& text, int root, std::source_location site) {
  calls_.Run({.collective = Collective::kBroadcast, .root = root, .site = site},
             [&] { DoBroadcast(text, root); });
}

std::vector<std::string> Control::AllGather(std::string_view text, std::source_location site) {
  return calls_.Run({.collective = Collective::kAllGather, .site = site},
                    [&] { return DoAllGather(text); });
}

void Control::Barrier(std::source_location site) {
  calls_.Run({.collective = Collective::kBarrier, .site = site}, [&] { DoBarrier(); });
}

void Control::Abort(int exit_code, std::string_view reason) noexcept {
  calls_.Abort();
  DoAbort(exit_code, reason);
  std::terminate();  // never reached: g++ forgets that a virtual function does not return
}

void Control::Close(std::source_location site) {
  calls_.Run({.collective = Collective::kClose, .site = site}, [&] { DoClose(); });
  calls_.Close();
}

void RunTogether(Control& control, bool root_only, const std::function<void()>& work,
                 std::source_location site) {
  const int rank = control.rank();
  const bool takes_part = !root_only || rank == 0;
  const std::optional<std::string> failure = takes_part ? FailureOf(work) : std::nullopt;

  // [0]: the lowest failing rank; [1]: -1 when a rank that took part succeeded.
  int64_t outcome[2] = {failure.has_value() ? rank : control.world_size(),
                        takes_part && !failure.has_value() ? -1 : 0};
  control.AllReduce(std::span<int64_t>(outcome), ReduceOp::kMin, site);
  if (outcome[0] == control.world_size()) return;

  const int failed_rank = static_cast<int>(outcome[0]);
  std::string text = failure.value_or("");
  control.Broadcast(text, failed_rank, site);
  throw Unpack(text, outcome[1] == -1 ? "rank " + std::to_string(failed_rank) + ": " : "");
}

void CheckSameOnAllRanks(Control& control, ErrorKind kind, std::string_view what,
                         std::string_view value, std::source_location site) {
  const std::vector<std::string> values = control.AllGather(value, site);
  for (size_t rank = 1; rank < values.size(); ++rank) {
    const std::string& first = values[0];
    const std::string& other = values[rank];
    if (first == other) continue;
    const auto [at, unused] = std::mismatch(first.begin(), first.end(), other.begin(), other.end());
    const size_t difference = static_cast<size_t>(at - first.begin());
    throw Error(kind,
                std::string(what) + " is not the same on all ranks: rank 0 has " +
                    Excerpt(first, difference) + ", rank " + std::to_string(rank) + " has " +
                    Excerpt(other, difference) +
                    ". Start every rank with the same command, program and files.",
                /*on_all_ranks=*/true);
  }
}

}  // namespace breakeven
