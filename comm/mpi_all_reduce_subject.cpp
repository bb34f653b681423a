#include <mpi.h>

#include <algorithm>

#include "comm/all_reduce_subject.h"
#include "comm/base/error.h"
#include "comm/host_memory.h"
#include "comm/mpi_support.h"

namespace breakeven {
namespace {

MPI_Datatype TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return MPI_FLOAT;
    case DType::kFloat64:
      return MPI_DOUBLE;
    case DType::kInt32:
      return MPI_INT32_T;
    case DType::kInt64:
      return MPI_INT64_T;
    case DType::kUInt8:
      return MPI_UINT8_T;
    case DType::kBFloat16:
      break;
  }
  BE_CHECK(false, "MPI knows no bfloat16");
}

MPI_Op OpOf(ReduceOp op) {
  return op == ReduceOp::kSum ? MPI_SUM : op == ReduceOp::kMax ? MPI_MAX : MPI_MIN;
}

class MpiAllReduceSubject final : public AllReduceSubject {
 public:
  explicit MpiAllReduceSubject(bool in_place) : in_place_(in_place) {
    CheckMpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    CountOpenMpiCommunicator(1);
    CheckMpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }

  std::string name() const override {
    return in_place_ ? "mpi_allreduce" : "mpi_allreduce_out_of_place";
  }
  void Reserve(int64_t num_bytes) override {
    input_ = Memory();
    output_ = Memory();
    if (num_bytes == 0) return;
    input_ = AllocateHostMemory(num_bytes, nullptr);
    if (!in_place_) output_ = AllocateHostMemory(num_bytes, nullptr);
  }
  void* input() override { return input_.data(); }
  const void* result() const override { return in_place_ ? input_.data() : output_.data(); }
  void Run(DType dtype, int64_t count, ReduceOp op) override {
    constexpr int64_t kMostElements = int64_t{1} << 30;  // an MPI count is an int
    const MPI_Datatype type = TypeOf(dtype);
    for (int64_t begin = 0; begin < count; begin += kMostElements) {
      const int size = static_cast<int>(std::min(kMostElements, count - begin));
      char* data = static_cast<char*>(input_.data()) + begin * SizeOf(dtype);
      char* out = in_place_ ? data : static_cast<char*>(output_.data()) + begin * SizeOf(dtype);
      CheckMpi(MPI_Allreduce(in_place_ ? MPI_IN_PLACE : data, out, size, type, OpOf(op), comm_),
               "MPI_Allreduce");
    }
  }
  void Barrier() override { CheckMpi(MPI_Barrier(comm_), "MPI_Barrier"); }
  void Close() override {
    Reserve(0);
    if (comm_ == MPI_COMM_NULL) return;
    CheckMpi(MPI_Comm_free(&comm_), "MPI_Comm_free");
    CountOpenMpiCommunicator(-1);
  }

 private:
  bool in_place_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  Memory input_;
  Memory output_;
};

}  // namespace

std::unique_ptr<AllReduceSubject> MakeMpiAllReduceSubject(bool in_place) {
  return std::make_unique<MpiAllReduceSubject>(in_place);
}

}  // namespace breakeven
