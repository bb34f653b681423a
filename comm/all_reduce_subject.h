// Pure. What `bench allreduce` measures: one way to all-reduce, with a buffer of its own.
#ifndef BREAKEVEN_COMM_ALL_REDUCE_SUBJECT_H_
#define BREAKEVEN_COMM_ALL_REDUCE_SUBJECT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "comm/communicator.h"

namespace breakeven {

class AllReduceSubject {
 public:
  AllReduceSubject() = default;
  virtual ~AllReduceSubject() = default;
  AllReduceSubject(const AllReduceSubject&) = delete;
  AllReduceSubject& operator=(const AllReduceSubject&) = delete;

  virtual std::string name() const = 0;
  virtual Device device() const { return {}; }  // where its memory is
  // COLLECTIVE. Takes memory for `num_bytes`, zeroed, in place of what it had; 0 gives it back.
  virtual void Reserve(int64_t num_bytes) = 0;
  virtual void* input() = 0;
  virtual const void* result() const = 0;  // input() where it works in place
  // COLLECTIVE. The first `count` elements. On a GPU it is launched; Finish waits for what was launched.
  virtual void Run(DType dtype, int64_t count, ReduceOp op) = 0;
  virtual void Finish() {}
  // COLLECTIVE. All ranks are here when it returns.
  virtual void Barrier() = 0;
  // COLLECTIVE. Gives everything back.
  virtual void Close() = 0;
};

// A back end of ours, which it owns. `allocated`: in memory of its Allocate; else in plain memory, as of malloc.
std::unique_ptr<AllReduceSubject> MakeCommunicatorSubject(
    std::unique_ptr<Communicator> communicator, bool allocated);

// COLLECTIVE. MPI_Allreduce of the MPI library that this program runs on, as the yardstick: "mpi_allreduce", in place, or
// "mpi_allreduce_out_of_place". Plain memory; float32, float64 and integers only (MPI has no bfloat16).
std::unique_ptr<AllReduceSubject> MakeMpiAllReduceSubject(bool in_place);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_ALL_REDUCE_SUBJECT_H_
