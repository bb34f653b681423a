// libtorch's threads, the same way for training and for scoring. Internal to trainer.
#ifndef BREAKEVEN_TRAINER_ATEN_THREADS_H_
#define BREAKEVEN_TRAINER_ATEN_THREADS_H_

#include <cstdint>

namespace breakeven {

// Threads of this rank for ATen and MKL: those inside an operation, in whichever thread calls. The pool for
// operations beside each other, which nothing here uses, is set to one, once per process.
void SetThreads(int64_t threads);

}  // namespace breakeven

#endif  // BREAKEVEN_TRAINER_ATEN_THREADS_H_
