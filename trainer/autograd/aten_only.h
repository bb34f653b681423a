// Pure. A switch for tests.
#ifndef BREAKEVEN_TRAINER_AUTOGRAD_ATEN_ONLY_H_
#define BREAKEVEN_TRAINER_AUTOGRAD_ATEN_ONLY_H_

#include <atomic>

namespace breakeven {

// While one lives, CPUs go the way of GPUs: plain ATen operations instead of our kernels, and the
// optimizer's decisions on the device. So everything that a GPU runs but its own kernels is tested
// where there is none.
class AtenOnly {
 public:
  AtenOnly() { ++count_; }
  ~AtenOnly() { --count_; }
  AtenOnly(const AtenOnly&) = delete;
  AtenOnly& operator=(const AtenOnly&) = delete;
  static bool on() { return count_ > 0; }

 private:
  static inline std::atomic<int> count_ = 0;
};

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_AUTOGRAD_ATEN_ONLY_H_
