// Pure. Reduce-scatter, all-gather and broadcast of the shared_memory_ back end.
#include <algorithm>

#include "comm/base/error.h"
#include "comm/buffer_check.h"
#include "comm/shared_memory_exchange.h"
#include "comm/shared_memory_fold.h"

namespace breakeven {

void SharedMemoryExchange::ScatterWindow(const Post& post, ReduceOp op, const Buffer& out) {
  for (size_t r = 0; r < bases_.size(); ++r) {
    inputs_[r] = bases_[r] + rank() * out.count * SizeOf(out.dtype);
  }
  outputs_.assign(1, out.data);
  FoldInOrder(out.dtype, op, inputs_, outputs_, out.count, Stores::kPlain);
  page_.Meet(post);
}

// A rank folds, for each node, the part of the rank that stands on it where this one stands here; those exchange the sums.
void SharedMemoryExchange::ScatterOverNodes(const Post& post, ReduceOp op, const Buffer& in,
                                            const Buffer& out) {
  const bool found = FindAll(post);
  const int64_t element_bytes = SizeOf(in.dtype);
  const DType partial_type = PartialType(in.dtype);
  const int num_nodes = static_cast<int>(ranks_of_.size());
  const int64_t piece = std::max<int64_t>(1, layout_.piece_bytes / element_bytes / world_size());
  ForPieces(out.count, piece, [&](int64_t begin, int64_t size) {
    const int64_t staged = NextPiece();
    for (int r = 0; r < world_size() && !found; ++r) {
      Copy(Staged(local_rank_, staged) + r * size * element_bytes, At(in, r * out.count + begin),
           size * element_bytes);
    }
    if (!found) page_.Meet(post);
    const int64_t partial_bytes = size * SizeOf(partial_type);
    char* partials = static_cast<char*>(Partial(num_nodes * partial_bytes));
    for (int node = 0; node < num_nodes; ++node) {
      const int64_t r = ranks_of_[static_cast<size_t>(node)][static_cast<size_t>(local_rank_)];
      for (int k = 0; k < local_size(); ++k) {
        inputs_[static_cast<size_t>(k)] =
            found ? bases_[static_cast<size_t>(k)] + (r * out.count + begin) * element_bytes
                  : Staged(k, staged) + r * size * element_bytes;
      }
      FoldPartial(in.dtype, op, inputs_, partials + node * partial_bytes, size, /*first=*/true);
    }
    char* mine = partials + setup_.across->rank() * partial_bytes;
    setup_.across->ReduceScatter({partials, num_nodes * size, partial_type, Device{}},
                                 {mine, size, partial_type, Device{}}, op, Stream{});
    outputs_.assign(1, At(out, begin));
    StorePartial(in.dtype, mine, outputs_, size);
  });
  page_.Meet(post);
}

void SharedMemoryExchange::DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream) {
  CheckParts(in, out, world_size());
  const Post post = MakePost(Collective::kReduceScatter, in, op);
  page_.Meet(post);
  if (!one_node() && setup_.nodes.AreEqual()) return ScatterOverNodes(post, op, in, out);
  if (one_node() && FindAll(post)) return ScatterWindow(post, op, out);
  // The ranks of a node share the work on each part.
  for (int r = 0; r < world_size(); ++r) {
    ForPieces(out.count, layout_.piece_bytes / SizeOf(in.dtype), [&](int64_t begin, int64_t size) {
      ReduceStaged(post, op, At(in, r * out.count + begin), r == rank() ? At(out, begin) : nullptr,
                   size);
    });
  }
}

void SharedMemoryExchange::DoAllGather(Buffer in, Buffer out, Stream stream) {
  CheckParts(out, in, world_size());
  if (!one_node()) return setup_.flat->AllGather(in, out, stream);
  const Post post = MakePost(Collective::kAllGather, in, ReduceOp::kSum);
  const int64_t element_bytes = SizeOf(in.dtype);
  page_.Meet(post);
  if (FindAll(post)) {
    for (int step = 0; step < local_size(); ++step) {
      const int r = (local_rank_ + step) % local_size();  // not all from the same one at once
      Copy(At(out, r * in.count), bases_[static_cast<size_t>(r)], in.count * element_bytes);
    }
    return page_.Meet(post);
  }
  ForPieces(in.count, layout_.piece_bytes / element_bytes, [&](int64_t begin, int64_t size) {
    const int64_t piece = NextPiece();
    Copy(Staged(local_rank_, piece), At(in, begin), size * element_bytes);
    page_.Meet(post);
    for (int r = 0; r < local_size(); ++r) {
      Copy(At(out, r * in.count + begin), r == local_rank_ ? At(in, begin) : Staged(r, piece),
           size * element_bytes);
    }
  });
}

bool SharedMemoryExchange::CanStart(const Buffer& inout) const {
  return one_node() && blocks_->Find(inout.data, inout.count * SizeOf(inout.dtype)).block >= 0;
}

void SharedMemoryExchange::FindStarted(const std::vector<Post>& posts) {
  const int32_t block = posts.front().block;
  for (const Post& post : posts) {
    BE_CHECK(post.block == block && block >= 0, "started on memory of different blocks");
  }
  blocks_->Bases(block, bases_);
  for (size_t r = 0; r < posts.size(); ++r) bases_[r] += posts[r].offset;
}

void SharedMemoryExchange::DoStartReduceScatter(Buffer inout, ReduceOp op, PieceDone done) {
  CheckHostBuffer(inout);
  if (!CanStart(inout)) return Communicator::DoStartReduceScatter(inout, op, std::move(done));
  const Buffer part = PartOf(inout, rank(), world_size());
  queue_.Start(MakePost(Collective::kStartReduceScatter, inout, op),
               [this, part, op, done = std::move(done)](const std::vector<Post>& posts) {
                 FindStarted(posts);
                 const int64_t element_bytes = SizeOf(part.dtype);
                 const auto fold = [&](int64_t begin, int64_t size) {
                   for (size_t r = 0; r < bases_.size(); ++r) {
                     inputs_[r] = bases_[r] + (rank() * part.count + begin) * element_bytes;
                   }
                   outputs_.assign(1, At(part, begin));
                   FoldInOrder(part.dtype, op, inputs_, outputs_, size, Stores::kPlain);
                   if (done) done(begin, size);
                 };
                 if (part.count == 0) fold(0, 0);
                 ForPieces(part.count, kPieceElements, fold);
               });
}

void SharedMemoryExchange::DoStartAllGather(Buffer inout) {
  CheckHostBuffer(inout);
  if (!CanStart(inout)) return Communicator::DoStartAllGather(inout);
  queue_.Start(MakePost(Collective::kStartAllGather, inout, ReduceOp::kSum),
               [this, inout](const std::vector<Post>& posts) {
                 FindStarted(posts);
                 const int64_t count = inout.count / world_size();
                 const int64_t num_bytes = count * SizeOf(inout.dtype);
                 for (int step = 1; step < local_size(); ++step) {
                   const int r = (local_rank_ + step) % local_size();
                   Copy(At(inout, r * count), bases_[static_cast<size_t>(r)] + r * num_bytes,
                        num_bytes);
                 }
               });
}

void SharedMemoryExchange::DoBroadcast(Buffer inout, int root, Stream stream) {
  CheckHostBuffer(inout);
  BE_CHECK(root >= 0 && root < world_size(), "root " + std::to_string(root));
  if (!one_node()) return setup_.flat->Broadcast(inout, root, stream);
  const Post post = MakePost(Collective::kBroadcast, inout, ReduceOp::kSum, root);
  const int64_t element_bytes = SizeOf(inout.dtype);
  page_.Meet(post);
  if (FindAll(post)) {
    if (rank() != root) {
      const char* given = bases_[static_cast<size_t>(root)];
      Copy(inout.data, given, inout.count * element_bytes);
      // Once read: weights at the start of a run, 4 bytes a parameter that would stay in this rank's peak.
      if (source_ != SegmentSource::kProcess) ForgetPages(given, inout.count * element_bytes);
    }
    return page_.Meet(post);
  }
  ForPieces(inout.count, layout_.piece_bytes / element_bytes, [&](int64_t begin, int64_t size) {
    const int64_t piece = NextPiece();
    if (rank() == root) Copy(Staged(root, piece), At(inout, begin), size * element_bytes);
    page_.Meet(post);
    if (rank() != root) Copy(At(inout, begin), Staged(root, piece), size * element_bytes);
  });
}

}  // namespace breakeven
