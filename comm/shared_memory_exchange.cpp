// Pure.
#include "comm/shared_memory_exchange.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/timing.h"
#include "comm/buffer_check.h"
#include "comm/host_memory.h"
#include "comm/shared_memory_fold.h"

namespace breakeven {
namespace {

// Up to here every rank reads all of everything: one meeting instead of two.
constexpr int64_t kSmallBytes = int64_t{1} << 10;
// Of plain memory at a time: copied in, reduced and copied out while it is in the second-level cache.
constexpr int64_t kPieceBytes = int64_t{512} << 10;
// Over nodes: large enough to hide the start of a message for each slice.
constexpr int64_t kNodePieceBytes = int64_t{4} << 20;

}  // namespace

StagingLayout MakeStagingLayout(int local_size, bool one_node) {
  StagingLayout layout;
  const auto whole_pages = [](int64_t bytes) { return (bytes + 4095) / 4096 * 4096; };
  layout.queue_begin = whole_pages(MeetingPage::NumBytes(local_size));
  layout.small_begin = layout.queue_begin + whole_pages(SharedMemoryQueue::NumBytes(local_size));
  layout.pieces_begin = layout.small_begin + 2 * kSmallBytes;
  layout.piece_bytes = one_node ? kPieceBytes : kNodePieceBytes;
  layout.num_bytes = layout.pieces_begin + 2 * layout.piece_bytes;
  return layout;
}

SharedMemoryExchange::SharedMemoryExchange(SharedMemorySetup setup, std::vector<int> node_ranks,
                                           SegmentSource source, SharedBlock staging,
                                           WaitPolicy policy)
    : setup_(std::move(setup)),
      node_ranks_(std::move(node_ranks)),
      local_rank_(static_cast<int>(
          std::lower_bound(node_ranks_.begin(), node_ranks_.end(), rank()) - node_ranks_.begin())),
      num_slices_(setup_.nodes.SmallestNode()),
      source_(source),
      layout_(MakeStagingLayout(local_size(), one_node())),
      staging_(std::move(staging)),
      page_(staging_.base(0), local_rank_, local_size(), policy),
      queue_(staging_.base(0) + layout_.queue_begin, local_rank_, local_size(), std::move(policy)),
      inputs_(node_ranks_.size()),
      bases_(node_ranks_.size()) {
  for (int node = 0; node < setup_.nodes.num_nodes(); ++node) {
    ranks_of_.push_back(setup_.nodes.RanksOf(node));
  }
}

void SharedMemoryExchange::Abort(std::string_view reason) noexcept {
  try {
    if (!reason.empty()) LogError(reason);
    page_.Leave();
    queue_.Leave();
    if (setup_.end_job) setup_.end_job(reason);
  } catch (...) {
    std::terminate();
  }
}

Memory SharedMemoryExchange::DoAllocate(int64_t num_bytes) {
  BE_CHECK(num_bytes >= 0, "size " + std::to_string(num_bytes));
  const int32_t number = num_allocated_++;
  WindowResult window =
      MakeWindow(*setup_.control, node_ranks_, source_, std::max<int64_t>(num_bytes, 64));
  if (!window.block.has_value()) {
    if (!std::exchange(has_warned_, true) && rank() == 0) {
      LogWarning("no shared memory for a buffer of " + FormatBytes(num_bytes) + " (" +
                 window.failure + "): it is copied at every all-reduce. " + SharedMemoryRemedy());
    }
    auto plain = std::make_shared<Memory>();
    RunTogether(*setup_.control, /*root_only=*/false,
                [&] { *plain = AllocateHostMemory(num_bytes, nullptr); });
    ++*num_live_;
    return Memory(plain->data(), num_bytes, [plain, live = num_live_] {
      *plain = Memory();
      --*live;
    });
  }
  void* data = window.block->base(static_cast<size_t>(local_rank_));
  blocks_->Add(number, static_cast<size_t>(local_rank_), std::move(*window.block));
  ++*num_live_;
  return Memory(data, num_bytes, [table = blocks_, live = num_live_, number, data] {
    table->Drop(number, data);
    --*live;
  });
}

Memory SharedMemoryExchange::DoAllocateShared(int64_t num_bytes) {
  BE_CHECK(num_bytes >= 0, "size " + std::to_string(num_bytes));
  if (!one_node()) return {};
  // A rank's container may hide what others see.
  if (setup_.control->AllReduce(int64_t{HasSeveralNumaNodes()}, ReduceOp::kMax) != 0) return {};
  std::string failure;
  std::optional<SharedSegment> segment =
      MakeCommonSegment(*setup_.control, source_, std::max<int64_t>(num_bytes, 64), &failure);
  if (!segment.has_value()) {
    if (rank() == 0) {
      LogWarning("no memory in common for " + FormatBytes(num_bytes) + " (" + failure +
                 "): each rank takes as much for itself. " + SharedMemoryRemedy());
    }
    return {};
  }
  auto held = std::make_shared<SharedSegment>(std::move(*segment));
  ++*num_live_;
  return Memory(held->data(), num_bytes, [held, live = num_live_] {
    *held = SharedSegment();
    --*live;
  });
}

Post SharedMemoryExchange::MakePost(Collective collective, const Buffer& buffer, ReduceOp op,
                                    int root) {
  const BlockTable::Place place = blocks_->Find(buffer.data, buffer.count * SizeOf(buffer.dtype));
  Post post;
  post.count = buffer.count;
  post.offset = place.offset;
  post.block = place.block;
  post.call = num_calls_++;
  post.root = root;
  post.collective = collective;
  post.dtype = buffer.dtype;
  post.op = op;
  return post;
}

bool SharedMemoryExchange::FindAll(const Post& own) {
  if (own.block < 0) return false;
  for (int r = 0; r < local_size(); ++r) {
    if (page_.post_of(r).block != own.block) return false;
  }
  blocks_->Bases(own.block, bases_);
  for (size_t r = 0; r < bases_.size(); ++r) {
    bases_[r] += page_.post_of(static_cast<int>(r)).offset;
  }
  return true;
}

int64_t SharedMemoryExchange::NextPiece() {
  piece_turn_ = 1 - piece_turn_;
  return layout_.pieces_begin + piece_turn_ * layout_.piece_bytes;
}

// Slices start at whole cache lines, so that ranks do not write to the same one.
int64_t SharedMemoryExchange::SliceBegin(int64_t count, int slice) const {
  constexpr int64_t kUnit = 64;
  const int64_t units = (count + kUnit - 1) / kUnit;
  const int64_t per_slice = (units + num_slices_ - 1) / num_slices_;
  return std::min(count, per_slice * slice * kUnit);
}

void SharedMemoryExchange::ReduceSlice(DType dtype, ReduceOp op, int64_t count) {
  if (local_rank_ >= num_slices_) return;
  const int64_t begin = SliceBegin(count, local_rank_);
  const int64_t size = SliceBegin(count, local_rank_ + 1) - begin;
  const int64_t offset = begin * SizeOf(dtype);
  for (const void*& input : inputs_) input = static_cast<const char*>(input) + offset;
  for (void*& output : outputs_) output = static_cast<char*>(output) + offset;
  if (one_node()) {
    const int64_t num_bytes = size * SizeOf(dtype);
    const Stores stores = store_choice_.Choose(num_bytes);
    const Stopwatch watch;
    FoldInOrder(dtype, op, inputs_, outputs_, size, stores);
    return store_choice_.Report(stores, num_bytes, watch.Seconds());
  }
  const DType partial_type = PartialType(dtype);
  void* partial = Partial(size * SizeOf(partial_type));
  FoldPartial(dtype, op, inputs_, partial, size, /*first=*/true);
  setup_.across->AllReduce({partial, size, partial_type, Device{}}, op, Stream{});
  StorePartial(dtype, partial, outputs_, size);
}

void* SharedMemoryExchange::Partial(int64_t num_bytes) {
  if (partial_.num_bytes() < num_bytes) partial_ = AllocateHostMemory(num_bytes, nullptr);
  return partial_.data();
}

// A slot is written again after the meeting behind the next one: all have read it by then.
void SharedMemoryExchange::ReduceSmall(const Post& post, char* inout, ReduceOp op) {
  const int64_t slot = layout_.small_begin + page_.next_half() * kSmallBytes;
  Copy(Staged(local_rank_, slot), inout, post.count * SizeOf(post.dtype));
  page_.Meet(post);
  for (int r = 0; r < local_size(); ++r) inputs_[static_cast<size_t>(r)] = Staged(r, slot);
  outputs_.assign(1, inout);
  FoldInOrder(post.dtype, op, inputs_, outputs_, post.count, Stores::kPlain);
}

void SharedMemoryExchange::ReduceWindow(const Post& post, ReduceOp op) {
  // Over nodes in the same pieces as ReduceStaged: another node may be there.
  const int64_t piece = one_node() ? post.count : layout_.piece_bytes / SizeOf(post.dtype);
  ForPieces(post.count, piece, [&](int64_t begin, int64_t size) {
    outputs_.resize(bases_.size());
    for (size_t r = 0; r < bases_.size(); ++r) {
      inputs_[r] = outputs_[r] = bases_[r] + begin * SizeOf(post.dtype);
    }
    ReduceSlice(post.dtype, op, size);
  });
  page_.Meet(post);
}

void SharedMemoryExchange::ReduceStaged(const Post& post, ReduceOp op, const char* in, char* out,
                                        int64_t count) {
  const int64_t element_bytes = SizeOf(post.dtype);
  const int64_t piece = NextPiece();
  Copy(Staged(local_rank_, piece), in, count * element_bytes);
  page_.Meet(post);
  for (int r = 0; r < local_size(); ++r) inputs_[static_cast<size_t>(r)] = Staged(r, piece);
  outputs_.assign(1, Staged(local_rank_, piece));
  ReduceSlice(post.dtype, op, count);
  page_.Meet(post);
  if (out == nullptr) return;
  for (int slice = 0; slice < num_slices_; ++slice) {
    const int64_t begin = SliceBegin(count, slice) * element_bytes;
    const int64_t end = SliceBegin(count, slice + 1) * element_bytes;
    Copy(out + begin, Staged(slice, piece) + begin, end - begin);
  }
}

void SharedMemoryExchange::DoAllReduce(Buffer inout, ReduceOp op, Stream) {
  CheckHostBuffer(inout);
  if (world_size() == 1) return;
  const int64_t element_bytes = SizeOf(inout.dtype);
  const Post post = MakePost(Collective::kAllReduce, inout, op);
  char* data = At(inout, 0);
  if (one_node() && inout.count * element_bytes <= kSmallBytes) return ReduceSmall(post, data, op);
  page_.Meet(post);
  if (FindAll(post)) return ReduceWindow(post, op);
  ForPieces(inout.count, layout_.piece_bytes / element_bytes, [&](int64_t begin, int64_t size) {
    char* part = At(inout, begin);
    ReduceStaged(post, op, part, part, size);
  });
}

void SharedMemoryExchange::DoBarrier() {
  page_.Meet(MakePost(Collective::kBarrier, {}, ReduceOp::kSum));
  if (!one_node()) setup_.flat->Barrier();
}

void SharedMemoryExchange::DoClose() {
  BE_CHECK(*num_live_ == 0, std::to_string(*num_live_) + " blocks of memory still in use");
  DoBarrier();
  if (setup_.across) setup_.across->Close();
  if (setup_.flat) setup_.flat->Close();
  setup_.control->Close();
}

}  // namespace breakeven
