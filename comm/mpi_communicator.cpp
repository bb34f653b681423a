// The data plane over MPI. MPI carries bytes; the arithmetic is our own (comm/reduce.h), folded in
// order of rank, because MPI promises neither an order nor equal bits on all ranks. An all-reduce
// is a reduce-scatter by direct exchange and an all-gather: 2 (n-1)/n of the buffer per rank, as
// much as a ring moves.
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "comm/base/error.h"
#include "comm/buffer_check.h"
#include "comm/host_memory.h"
#include "comm/mpi_support.h"
#include "comm/reduce.h"

namespace breakeven {
namespace {

// Of an all-reduce at a time: small enough for the cache and for an int, large enough to hide the
// start of a message.
constexpr int64_t kPieceBytes = int64_t{4} << 20;
// Up to here one all-gather of everything is quicker than two rounds of messages.
constexpr int64_t kSmallBytes = int64_t{4} << 10;
constexpr int64_t kMostBytes = int64_t{1} << 30;  // in one message: an MPI count is an int
constexpr int kTag = 0;

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(MPI_Comm own) : comm_(own) {
    CountOpenMpiCommunicator(1);
    CheckMpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    CheckMpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    CheckMpi(MPI_Comm_size(comm_, &world_size_), "MPI_Comm_size");
    inputs_.resize(static_cast<size_t>(world_size_));
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  std::string_view name() const override { return "mpi"; }

  Memory DoAllocate(int64_t num_bytes) override {
    return AllocateHostMemory(num_bytes, &live_blocks_);
  }

  void DoAllReduce(Buffer inout, ReduceOp op, Stream) override {
    CheckHostBuffer(inout);
    if (world_size_ == 1) return;
    const int64_t element_bytes = SizeOf(inout.dtype);
    if (inout.count * element_bytes * world_size_ <= kSmallBytes) return ReduceSmall(inout, op);
    const int64_t piece = kPieceBytes / element_bytes;
    for (int64_t begin = 0; begin < inout.count; begin += piece) {
      Buffer part = inout;
      part.data = At(inout, begin);
      part.count = std::min(piece, inout.count - begin);
      ReducePiece(part, op);
    }
  }

  void DoReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream) override {
    CheckParts(in, out, world_size_);
    const int64_t piece = std::max<int64_t>(1, kPieceBytes / SizeOf(in.dtype) / world_size_);
    for (int64_t begin = 0; begin < out.count; begin += piece) {
      const int64_t count = std::min(piece, out.count - begin);
      const auto part = [&](int r) { return At(in, r * out.count + begin); };
      ExchangeAndReduce(
          in.dtype, op, count, part, [count](int) { return count; }, At(out, begin));
    }
  }

  void DoAllGather(Buffer in, Buffer out, Stream) override {
    CheckParts(out, in, world_size_);
    char* mine = At(out, rank_ * in.count);
    const int64_t num_bytes = in.count * SizeOf(in.dtype);
    if (mine != in.data && num_bytes > 0) {
      std::memcpy(mine, in.data, static_cast<size_t>(num_bytes));
    }
    if (num_bytes <= kMostBytes / world_size_) {
      CheckMpi(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, out.data,
                             static_cast<int>(num_bytes), MPI_BYTE, comm_),
               "MPI_Allgather");
      return;
    }
    // Too long for the ints in which MPI counts: one rank's part after the other.
    for (int r = 0; r < world_size_; ++r) {
      BroadcastBytes(At(out, r * in.count), num_bytes, r);
    }
  }

  void DoBroadcast(Buffer inout, int root, Stream) override {
    CheckHostBuffer(inout);
    BE_CHECK(root >= 0 && root < world_size_, "root " + std::to_string(root));
    BroadcastBytes(static_cast<char*>(inout.data), inout.count * SizeOf(inout.dtype), root);
  }

  void DoBarrier() override { CheckMpi(MPI_Barrier(comm_), "MPI_Barrier"); }

  void Abort(std::string_view reason) noexcept override {
    AbortJob(static_cast<int>(ErrorKind::kCommunication), reason);
  }

  void DoClose() override {
    BE_CHECK(live_blocks_ == 0, std::to_string(live_blocks_) + " blocks of memory still in use");
    if (comm_ == MPI_COMM_NULL) return;
    CheckMpi(MPI_Comm_free(&comm_), "MPI_Comm_free");
    CountOpenMpiCommunicator(-1);
  }

 private:
  void BroadcastBytes(char* data, int64_t num_bytes, int root) {
    for (int64_t begin = 0; begin < num_bytes; begin += kMostBytes) {
      const int count = static_cast<int>(std::min(kMostBytes, num_bytes - begin));
      CheckMpi(MPI_Bcast(data + begin, count, MPI_BYTE, root, comm_), "MPI_Bcast");
    }
  }

  void ReduceSmall(Buffer inout, ReduceOp op) {
    const int64_t num_bytes = inout.count * SizeOf(inout.dtype);
    if (num_bytes == 0) return;
    char* all = Scratch(num_bytes * world_size_);
    CheckMpi(MPI_Allgather(inout.data, static_cast<int>(num_bytes), MPI_BYTE, all,
                           static_cast<int>(num_bytes), MPI_BYTE, comm_),
             "MPI_Allgather");
    for (int r = 0; r < world_size_; ++r) inputs_[static_cast<size_t>(r)] = all + r * num_bytes;
    ReduceInOrder(inout.dtype, op, inputs_, inout.data, inout.count);
  }

  // Rank r reduces slice r and sends it to all.
  void ReducePiece(Buffer piece, ReduceOp op) {
    const int64_t slice = (piece.count + world_size_ - 1) / world_size_;
    const auto begin_of = [&](int r) { return std::min(piece.count, slice * r); };
    const auto part = [&](int r) { return At(piece, begin_of(r)); };
    const auto count_of = [&](int r) { return begin_of(r + 1) - begin_of(r); };
    ExchangeAndReduce(piece.dtype, op, count_of(rank_), part, count_of, part(rank_));

    for (int step = 1; step < world_size_; ++step) {
      const int from = (rank_ + step) % world_size_;
      Receive(part(from), count_of(from) * SizeOf(piece.dtype), from);
    }
    for (int step = 1; step < world_size_; ++step) {
      Send(part(rank_), count_of(rank_) * SizeOf(piece.dtype),
           (rank_ + world_size_ - step) % world_size_);
    }
    WaitForAll();
  }

  // Sends part(r), count_of(r) elements, to every rank r, and reduces what all have sent to this
  // one, `count` elements each, into `out`; part(rank) is this rank's own share of it. Returns when
  // the parts may be written again.
  template <typename Part, typename CountOf>
  void ExchangeAndReduce(DType dtype, ReduceOp op, int64_t count, const Part& part,
                         const CountOf& count_of, void* out) {
    const int64_t num_bytes = count * SizeOf(dtype);
    char* received = Scratch(num_bytes * (world_size_ - 1));
    for (int step = 1; step < world_size_; ++step) {
      const int from = (rank_ + step) % world_size_;
      char* place = received + (step - 1) * num_bytes;
      inputs_[static_cast<size_t>(from)] = place;
      Receive(place, num_bytes, from);
    }
    for (int step = 1; step < world_size_; ++step) {
      const int to = (rank_ + world_size_ - step) % world_size_;
      Send(part(to), count_of(to) * SizeOf(dtype), to);
    }
    WaitForAll();
    inputs_[static_cast<size_t>(rank_)] = part(rank_);
    ReduceInOrder(dtype, op, inputs_, out, count);
  }

  void Receive(char* data, int64_t num_bytes, int from) {
    if (num_bytes == 0) return;
    requests_.push_back(MPI_REQUEST_NULL);
    CheckMpi(MPI_Irecv(data, static_cast<int>(num_bytes), MPI_BYTE, from, kTag, comm_,
                       &requests_.back()),
             "MPI_Irecv");
  }

  void Send(const char* data, int64_t num_bytes, int to) {
    if (num_bytes == 0) return;
    requests_.push_back(MPI_REQUEST_NULL);
    CheckMpi(
        MPI_Isend(data, static_cast<int>(num_bytes), MPI_BYTE, to, kTag, comm_, &requests_.back()),
        "MPI_Isend");
  }

  void WaitForAll() {
    std::vector<MPI_Status> statuses(requests_.size());
    const int code =
        MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), statuses.data());
    requests_.clear();
    if (code == MPI_ERR_IN_STATUS) {
      for (const MPI_Status& status : statuses) {
        // Those that are merely not done yet say nothing about why.
        if (status.MPI_ERROR != MPI_ERR_PENDING) CheckMpi(status.MPI_ERROR, "MPI_Waitall");
      }
    }
    CheckMpi(code, "MPI_Waitall");
  }

  char* Scratch(int64_t num_bytes) {
    if (scratch_.num_bytes() < num_bytes) {
      scratch_ = Memory();
      scratch_ = AllocateHostMemory(num_bytes, nullptr);
    }
    return static_cast<char*>(scratch_.data());
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int world_size_ = 1;
  std::atomic<int> live_blocks_{0};
  Memory scratch_;
  std::vector<const void*> inputs_;
  std::vector<MPI_Request> requests_;
};

}  // namespace

std::unique_ptr<Communicator> MakeMpiCommunicator() { return MakeMpiCommunicatorOf(0, 0); }

std::unique_ptr<Communicator> MakeMpiCommunicatorOf(int group, int place) {
  MPI_Comm comm = MPI_COMM_NULL;  // of equal places the ranks decide
  CheckMpi(MPI_Comm_split(MPI_COMM_WORLD, group < 0 ? MPI_UNDEFINED : group, place, &comm),
           "MPI_Comm_split");
  return comm == MPI_COMM_NULL ? nullptr : std::make_unique<MpiCommunicator>(comm);
}

}  // namespace breakeven
