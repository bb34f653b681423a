// Pure.
#include "comm/shared_memory_window.h"

#include <utility>

#include "comm/base/error.h"

namespace breakeven {
namespace {

// "" where `work` succeeds, else what it says.
std::string FailureOf(const auto& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// COLLECTIVE. The failure of the lowest rank that has one, with its name; "" where none has.
std::string AnyFailure(Control& control, const std::string& own) {
  const int64_t nobody = control.world_size();
  const int64_t failed = control.AllReduce(own.empty() ? nobody : control.rank(), ReduceOp::kMin);
  if (failed == nobody) return "";
  std::string text = own;
  control.Broadcast(text, static_cast<int>(failed));
  return "rank " + std::to_string(failed) + ": " + text;
}

}  // namespace

WindowResult MakeWindow(Control& control, std::span<const int> node_ranks, SegmentSource source,
                        int64_t num_bytes) {
  SharedSegment own;
  WindowResult result;
  result.failure =
      AnyFailure(control, FailureOf([&] { own = SharedSegment::Create(source, num_bytes); }));
  if (!result.failure.empty()) return result;

  const std::vector<std::string> names = control.AllGather(own.name());
  std::vector<SharedSegment> segments(node_ranks.size());
  const std::string failure = FailureOf([&] {
    for (size_t r = 0; r < node_ranks.size(); ++r) {
      if (node_ranks[r] == control.rank()) continue;
      segments[r] = SharedSegment::Open(names[static_cast<size_t>(node_ranks[r])]);
      segments[r].Seal();
    }
  });
  result.failure = AnyFailure(control, failure);
  own.Seal();
  if (!result.failure.empty()) return result;
  for (size_t r = 0; r < node_ranks.size(); ++r) {
    if (node_ranks[r] == control.rank()) segments[r] = std::move(own);
  }
  result.block.emplace(std::move(segments));
  return result;
}

std::optional<SharedSegment> MakeCommonSegment(Control& control, SegmentSource source,
                                               int64_t num_bytes, std::string* failure) {
  const bool makes = control.rank() == 0;
  SharedSegment segment;
  *failure = AnyFailure(control, FailureOf([&] {
                          if (makes) segment = SharedSegment::CreateUnfilled(source, num_bytes);
                        }));
  if (!failure->empty()) return std::nullopt;
  std::string name = segment.name();
  control.Broadcast(name, /*root=*/0);
  *failure = AnyFailure(control, FailureOf([&] {
                          if (!makes) segment = SharedSegment::Open(name);
                        }));
  segment.Unlink();  // whoever dies from here on leaves nothing behind
  if (!failure->empty()) return std::nullopt;
  *failure =
      AnyFailure(control, FailureOf([&] { segment.Fill(control.rank(), control.world_size()); }));
  segment.Seal();
  if (!failure->empty()) return std::nullopt;
  return segment;
}

void BlockTable::Add(int32_t number, size_t local_rank, SharedBlock block) {
  const std::lock_guard lock(mutex_);
  const char* base = block.base(local_rank);
  by_base_.emplace(base, Entry{number, std::move(block)});
}

void BlockTable::Drop(int32_t number, const void* base) {
  const std::lock_guard lock(mutex_);
  const auto entry = by_base_.find(static_cast<const char*>(base));
  BE_CHECK(entry != by_base_.end() && entry->second.number == number, "a block is dropped twice");
  by_base_.erase(entry);
}

int32_t BlockTable::size() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int32_t>(by_base_.size());
}

BlockTable::Place BlockTable::Find(const void* data, int64_t num_bytes) const {
  const std::lock_guard lock(mutex_);
  const char* begin = static_cast<const char*>(data);
  auto entry = by_base_.upper_bound(begin);
  if (entry == by_base_.begin()) return {};
  --entry;
  const int64_t offset = begin - entry->first;
  if (offset + num_bytes > entry->second.block.num_bytes()) return {};
  return {entry->second.number, offset};
}

void BlockTable::Bases(int32_t number, std::span<char*> bases) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [base, entry] : by_base_) {
    if (entry.number != number) continue;
    for (size_t r = 0; r < bases.size(); ++r) bases[r] = entry.block.base(r);
    return;
  }
  BE_CHECK(false, "block " + std::to_string(number) + " is not held by this rank");
}

}  // namespace breakeven
