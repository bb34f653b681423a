// Pure. The control plane among threads of one process.
#ifndef BREAKEVEN_COMM_THREAD_CONTROL_H_
#define BREAKEVEN_COMM_THREAD_CONTROL_H_

#include <memory>

#include "comm/control.h"
#include "comm/thread_hub.h"

namespace breakeven {

// All ranks of a hub share it. Abort ends the process.
std::unique_ptr<Control> MakeThreadControl(std::shared_ptr<ThreadHub> hub, int rank);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_THREAD_CONTROL_H_
