// Pure. `breakeven bench allreduce`: how long an all-reduce takes by size, several back ends side by side.
#ifndef BREAKEVEN_COMM_ALL_REDUCE_BENCH_H_
#define BREAKEVEN_COMM_ALL_REDUCE_BENCH_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/all_reduce_subject.h"
#include "comm/base/fields.h"
#include "comm/base/timing.h"
#include "comm/control.h"
#include "comm/device_binding.h"

namespace breakeven {

struct AllReduceBenchConfig {
  // "auto" is what training would take: nccl on GPUs, else CommConfig's auto. A back end that falls back to another that is
  // measured already is left out.
  std::vector<std::string> backends = {"shared_memory", "mpi", "mpi_allreduce"};
  DeviceConfig device;  // keys `device` and `allow_shared_gpu`: of auto and nccl
  std::vector<std::string> dtypes = {"float32"};
  std::string op = "sum";            // sum | max | min
  std::string memory = "allocated";  // allocated | plain
  bool rewrite = false;        // each rank writes its buffer before each call, as backward does
  std::vector<int64_t> sizes;  // bytes; empty: min_bytes, times factor, …, max_bytes
  int64_t min_bytes = 8;
  int64_t max_bytes = int64_t{1} << 30;
  int64_t factor = 4;
  int64_t repeats = 20;
  int64_t warmups = 2;
  double seconds =
      1;  // for a size and a back end; fewer repeats where it is short, but never below 5
  void VisitFields(FieldVisitor& v);
  void Validate() const;
  std::vector<int64_t> Sizes() const;  // ascending
};

// As nccl-tests: algorithm bandwidth is bytes / time, bus bandwidth that times 2 (n - 1) / n, which is what the slowest
// link carries whatever the number of ranks. Of the median, in 1e9 bytes a second.
struct AllReduceFigure {
  std::string backend;
  std::string dtype;
  int64_t bytes = 0;
  Timing seconds;  // of one call, the slowest rank of each sample
  int64_t calls_per_sample = 1;
  double algbw = 0;
  double busbw = 0;
  bool correct = false;  // every element on every rank, before the timing
};

// seconds = latency + bytes / bandwidth, fitted to the medians by relative error: sizes span nine orders of magnitude.
struct AllReduceFit {
  std::string backend;
  std::string dtype;
  double latency_seconds = 0;
  double bytes_per_second = 0;
  double r_squared = 0;  // of the weighted fit
  int64_t num_sizes = 0;
};

struct AllReduceReport {
  std::vector<AllReduceFigure> figures;  // by dtype, size, back end
  std::vector<AllReduceFit> fits;        // where there are three sizes or more
};

// COLLECTIVE. The back ends take turns within a size, in reversed order every other time, so that a machine that slows down
// does so for all. `control`: a plane on which nothing else goes on.
AllReduceReport MeasureAllReduce(Control& control,
                                 std::span<const std::unique_ptr<AllReduceSubject>> subjects,
                                 const AllReduceBenchConfig& config);

// At least two points of different size.
AllReduceFit FitAllReduce(std::span<const int64_t> bytes, std::span<const double> seconds);

DType ParseDType(std::string_view name);  // of AllReduceBenchConfig::dtypes

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_ALL_REDUCE_BENCH_H_
