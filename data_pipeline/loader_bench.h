// Pure. `breakeven bench loader`: how fast examples come out of a token dataset.
#ifndef BREAKEVEN_DATA_PIPELINE_LOADER_BENCH_H_
#define BREAKEVEN_DATA_PIPELINE_LOADER_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/base/fields.h"
#include "comm/base/timing.h"
#include "data_pipeline/epoch_plan.h"

namespace breakeven {

struct LoaderBenchConfig {
  std::string data;  // dataset or index
  std::vector<std::string> readers = {"mmap", "h5dread"};
  BatchingConfig batching;
  int64_t seed = 0;
  int64_t repeats = 7;
  int64_t warmups = 1;
  double seconds = 0.5;  // of one repeat, about
  void VisitFields(FieldVisitor& v);
  void Validate() const;
};

// One way of reading: single examples in random order, widened to int64; or whole steps through the
// loader's thread, as training takes them.
struct LoaderFigure {
  std::string reader;              // mmap | h5dread
  std::string what;                // random_examples | steps
  Timing seconds;                  // of one example or step
  double examples_per_second = 0;  // of the median
  double tokens_per_second = 0;
};

struct LoaderReport {
  int64_t num_examples = 0;
  int64_t num_tokens = 0;
  std::vector<LoaderFigure> figures;
};

// Tokens are verified against their hashes once, before the timing. Errors: TokenDataset's.
LoaderReport MeasureLoader(const LoaderBenchConfig& config);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_LOADER_BENCH_H_
