#include <mpi.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "comm/mpi_support.h"
#include "comm/reduce.h"

namespace breakeven {
namespace {

constexpr int64_t kMostBytes = int64_t{1} << 30;  // a call's count is an int
constexpr int64_t kPieceValues = int64_t{1}
                                 << 13;  // of an ordered sum: every rank holds world_size pieces

class MpiControl final : public Control {
 public:
  MpiControl() {
    CheckMpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    CountOpenMpiCommunicator(1);
    CheckMpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    CheckMpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    CheckMpi(MPI_Comm_size(comm_, &world_size_), "MPI_Comm_size");
    FindPlace();
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  int node_rank() const override { return node_rank_; }
  int num_nodes() const override { return num_nodes_; }

  void DoAllReduce(std::span<int64_t> values, ReduceOp op) override {
    Reduce(values, DType::kInt64, MPI_INT64_T, op);
  }
  void DoAllReduce(std::span<double> values, ReduceOp op) override {
    Reduce(values, DType::kFloat64, MPI_DOUBLE, op);
  }

  void DoBroadcast(std::string& text, int root) override {
    int64_t size = static_cast<int64_t>(text.size());
    CheckMpi(MPI_Bcast(&size, 1, MPI_INT64_T, root, comm_), "MPI_Bcast");
    text.resize(static_cast<size_t>(size));
    for (int64_t begin = 0; begin < size; begin += kMostBytes) {
      const int count = static_cast<int>(std::min(kMostBytes, size - begin));
      CheckMpi(MPI_Bcast(text.data() + begin, count, MPI_BYTE, root, comm_), "MPI_Bcast");
    }
  }

  std::vector<std::string> DoAllGather(std::string_view text) override {
    const int64_t mine = static_cast<int64_t>(text.size());
    std::vector<int64_t> sizes(static_cast<size_t>(world_size_));
    CheckMpi(MPI_Allgather(&mine, 1, MPI_INT64_T, sizes.data(), 1, MPI_INT64_T, comm_),
             "MPI_Allgather");
    int64_t total = 0;
    for (const int64_t size : sizes) total += size;
    return total <= kMostBytes ? GatherShort(text, sizes, total) : GatherLong(text);
  }

  void DoBarrier() override { CheckMpi(MPI_Barrier(comm_), "MPI_Barrier"); }

  [[noreturn]] void DoAbort(int exit_code, std::string_view reason) noexcept override {
    AbortJob(exit_code, reason);
  }

  std::unique_ptr<Control> Duplicate() override { return MakeMpiControl(); }

  void DoClose() override {
    if (comm_ == MPI_COMM_NULL) return;
    CheckMpi(MPI_Comm_free(&comm_), "MPI_Comm_free");
    CountOpenMpiCommunicator(-1);
  }

 private:
  // A node is a set of ranks that can share memory; it is named by its lowest rank.
  void FindPlace() {
    MPI_Comm node = MPI_COMM_NULL;
    CheckMpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
             "MPI_Comm_split_type");
    CheckMpi(MPI_Comm_rank(node, &local_rank_), "MPI_Comm_rank");
    CheckMpi(MPI_Comm_size(node, &local_size_), "MPI_Comm_size");
    int leader = rank_;
    CheckMpi(MPI_Bcast(&leader, 1, MPI_INT, 0, node), "MPI_Bcast");
    CheckMpi(MPI_Comm_free(&node), "MPI_Comm_free");

    std::vector<int> leaders(static_cast<size_t>(world_size_));
    CheckMpi(MPI_Allgather(&leader, 1, MPI_INT, leaders.data(), 1, MPI_INT, comm_),
             "MPI_Allgather");
    std::sort(leaders.begin(), leaders.end());
    leaders.erase(std::unique(leaders.begin(), leaders.end()), leaders.end());
    num_nodes_ = static_cast<int>(leaders.size());
    node_rank_ = static_cast<int>(std::lower_bound(leaders.begin(), leaders.end(), leader) -
                                  leaders.begin());
  }

  // Every rank receives all values and folds them in order of rank: MPI promises no order for its
  // own sums.
  template <typename T>
  void Reduce(std::span<T> values, DType dtype, MPI_Datatype type, ReduceOp op) {
    const int64_t total = static_cast<int64_t>(values.size());
    std::vector<T> all(static_cast<size_t>(std::min(total, kPieceValues) * world_size_));
    std::vector<const void*> inputs(static_cast<size_t>(world_size_));
    for (int64_t begin = 0; begin < total; begin += kPieceValues) {
      const int count = static_cast<int>(std::min(kPieceValues, total - begin));
      T* piece = values.data() + begin;
      CheckMpi(MPI_Allgather(piece, count, type, all.data(), count, type, comm_), "MPI_Allgather");
      for (size_t r = 0; r < inputs.size(); ++r) {
        inputs[r] = all.data() + r * static_cast<size_t>(count);
      }
      ReduceInOrder(dtype, op, inputs, piece, count);
    }
  }

  std::vector<std::string> GatherShort(std::string_view text, const std::vector<int64_t>& sizes,
                                       int64_t total) {
    std::vector<int> counts, begins;
    int begin = 0;
    for (const int64_t size : sizes) {
      counts.push_back(static_cast<int>(size));
      begins.push_back(begin);
      begin += static_cast<int>(size);
    }
    std::string joined(static_cast<size_t>(total), '\0');
    CheckMpi(MPI_Allgatherv(text.data(), static_cast<int>(text.size()), MPI_BYTE, joined.data(),
                            counts.data(), begins.data(), MPI_BYTE, comm_),
             "MPI_Allgatherv");
    std::vector<std::string> all;
    for (size_t r = 0; r < counts.size(); ++r) {
      all.push_back(joined.substr(static_cast<size_t>(begins[r]), static_cast<size_t>(counts[r])));
    }
    return all;
  }

  std::vector<std::string> GatherLong(std::string_view text) {
    std::vector<std::string> all(static_cast<size_t>(world_size_));
    all[static_cast<size_t>(rank_)] = text;
    for (int r = 0; r < world_size_; ++r) DoBroadcast(all[static_cast<size_t>(r)], r);
    return all;
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int world_size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  int node_rank_ = 0;
  int num_nodes_ = 1;
};

}  // namespace

std::unique_ptr<Control> MakeMpiControl() { return std::make_unique<MpiControl>(); }

}  // namespace breakeven
