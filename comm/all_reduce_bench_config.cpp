// Pure. Names, limits and rules of `breakeven bench allreduce`'s config.
#include <algorithm>

#include "comm/all_reduce_bench.h"
#include "comm/base/error.h"

namespace breakeven {

void AllReduceBenchConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"backends",
           "what is measured, in turns: back ends of ours (nccl: on GPUs, one a rank; auto: what "
           "training takes), and MPI's own MPI_Allreduce",
           OneOf({"auto", "shared_memory", "mpi", "nccl", "mpi_allreduce",
                  "mpi_allreduce_out_of_place"})},
          backends);
  device.VisitFields(v);
  v.Visit({"dtypes", "element types; MPI_Allreduce knows no bfloat16",
           OneOf({"float32", "bfloat16", "float64", "int32", "int64", "uint8"})},
          dtypes);
  v.Visit({"op", "the reduction", OneOf({"sum", "max", "min"})}, op);
  v.Visit({"memory", "of our back ends: allocated by them, or plain as of malloc",
           OneOf({"allocated", "plain"})},
          memory);
  v.Visit(
      {"rewrite",
       "every rank writes its buffer before each call, not timed, as backward does: else parts of "
       "it may still lie in the cache of the rank that reduced them last"},
      rewrite);
  v.Visit({"sizes", "bytes a rank, a list; empty = from min_bytes to max_bytes", AtLeast(1)},
          sizes);
  v.Visit({"min_bytes", "smallest size", AtLeast(1)}, min_bytes);
  v.Visit({"max_bytes", "largest size; each back end takes this much memory a rank", AtLeast(1)},
          max_bytes);
  v.Visit({"factor", "from a size to the next; the largest size is always measured", AtLeast(2)},
          factor);
  v.Visit({"repeats", "samples of a size and a back end, at most", AtLeast(1)}, repeats);
  v.Visit({"warmups", "samples that are thrown away before them", AtLeast(1)}, warmups);
  v.Visit({"seconds", "time for a size and a back end; at least 5 samples are taken", Above(0)},
          seconds);
}

void AllReduceBenchConfig::Validate() const {
  if (backends.empty()) throw Error(ErrorKind::kUsage, "backends: empty. Name at least one.");
  if (dtypes.empty()) throw Error(ErrorKind::kUsage, "dtypes: empty. Name at least one.");
  for (const auto* names : {&backends, &dtypes}) {
    std::vector<std::string> sorted = *names;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) {
      throw Error(ErrorKind::kUsage, (names == &dtypes ? "dtypes: " : "backends: ") + *twice +
                                         " stands there twice. Name each once.");
    }
  }
  const bool asks_mpi = std::any_of(backends.begin(), backends.end(), [](const std::string& name) {
    return name.starts_with("mpi_allreduce");
  });
  if (asks_mpi && std::find(dtypes.begin(), dtypes.end(), "bfloat16") != dtypes.end()) {
    throw Error(ErrorKind::kUsage,
                "dtypes: MPI_Allreduce knows no bfloat16. Leave it out, or the back ends "
                "mpi_allreduce and mpi_allreduce_out_of_place.");
  }
  if (min_bytes > max_bytes) {
    throw Error(ErrorKind::kUsage, "min_bytes: " + std::to_string(min_bytes) +
                                       " is above max_bytes: " + std::to_string(max_bytes));
  }
}

std::vector<int64_t> AllReduceBenchConfig::Sizes() const {
  std::vector<int64_t> all = sizes;
  if (all.empty()) {
    for (int64_t size = min_bytes; size < max_bytes; size *= factor) {
      all.push_back(size);
      if (size > max_bytes / factor) break;
    }
    all.push_back(max_bytes);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace breakeven
