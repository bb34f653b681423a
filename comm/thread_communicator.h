// Pure. The data plane among threads of one process: tests, and the world of one rank.
#ifndef BREAKEVEN_COMM_THREAD_COMMUNICATOR_H_
#define BREAKEVEN_COMM_THREAD_COMMUNICATOR_H_

#include <memory>

#include "comm/communicator.h"
#include "comm/thread_hub.h"

namespace breakeven {

// All ranks of a hub share it. Reductions fold in order of rank (comm/reduce.h): the same bits as the mpi_ back end.
// Abort makes every wait of the other ranks throw.
std::unique_ptr<Communicator> MakeThreadCommunicator(std::shared_ptr<ThreadHub> hub, int rank);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_THREAD_COMMUNICATOR_H_
