#include "trainer/aten_threads.h"

#include <ATen/Parallel.h>

#include <mutex>

namespace breakeven {

void SetThreads(int64_t threads) {
  static std::once_flag once;
  std::call_once(once, [] {
    if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
  });
  at::set_num_threads(static_cast<int>(threads));
}

}  // namespace breakeven
