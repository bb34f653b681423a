// Loops over independent items on several threads.
#ifndef BREAKEVEN_DATA_PIPELINE_PARALLEL_H_
#define BREAKEVEN_DATA_PIPELINE_PARALLEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>

namespace breakeven {

// Calls `work(i)` once for every i < count, on `num_threads` threads (at least one; the caller's is
// among them). Of several errors the one of the lowest i is thrown, so the number of threads shows
// nowhere. `done(n)`, when given, hears of every n items that are finished, from any thread.
void ParallelFor(size_t count, int num_threads, const std::function<void(size_t)>& work,
                 const std::function<void(size_t)>& done = {});

// `configured`, or for 0 the CPUs that this process may run on.
int ThreadCount(int64_t configured);

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_PARALLEL_H_
