#include "data_pipeline/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/base/cpu_mask.h"

namespace breakeven {

void ParallelFor(size_t count, int num_threads, const std::function<void(size_t)>& work,
                 const std::function<void(size_t)>& done) {
  constexpr size_t kBlock = 64;
  std::atomic<size_t> next = 0;
  // Items from here on need not be done any more. Blocks are taken in order, so all before it are.
  std::atomic<size_t> first_error = count;
  std::exception_ptr error;
  std::mutex mutex;
  const auto run = [&] {
    for (;;) {
      const size_t begin = next.fetch_add(kBlock);
      if (begin >= first_error.load()) return;
      const size_t end = std::min(begin + kBlock, count);
      for (size_t i = begin; i < end && i < first_error.load(); ++i) {
        try {
          work(i);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (i < first_error.load()) {
            first_error = i;
            error = std::current_exception();
          }
        }
      }
      if (done) done(end - begin);
    }
  };
  const size_t useful = (count + kBlock - 1) / kBlock;
  const size_t wanted = std::min(useful, static_cast<size_t>(std::max(num_threads, 1)));
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < wanted; ++i) threads.emplace_back(run);
  run();
  threads.clear();  // joins
  if (error) std::rethrow_exception(error);
}

int ThreadCount(int64_t configured) {
  if (configured > 0) return static_cast<int>(std::min<int64_t>(configured, 1024));
  const std::vector<bool> cpus = AllowedCpus();
  const auto allowed = std::count(cpus.begin(), cpus.end(), true);
  if (allowed > 0) return static_cast<int>(allowed);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

}  // namespace breakeven
