// Pure. The data plane of CPU ranks: ranks of a node reduce in each other's memory, nodes exchange what is reduced.
#ifndef BREAKEVEN_COMM_SHARED_MEMORY_COMMUNICATOR_H_
#define BREAKEVEN_COMM_SHARED_MEMORY_COMMUNICATOR_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "comm/control.h"
#include "comm/shared_memory_segment.h"

namespace breakeven {

// Which ranks share memory.
struct NodeMap {
  std::vector<int> node_of;  // by rank; nodes are numbered from 0

  int num_nodes() const;
  std::vector<int> RanksOf(int node) const;  // ascending
  int SmallestNode() const;                  // its number of ranks
  int PlaceOf(int rank) const;               // among the ranks of its node
  bool AreEqual() const;                     // the same number of ranks on each
};

// COLLECTIVE. As the control plane sees it.
NodeMap FindNodes(Control& control);

struct SharedMemorySetup {
  std::unique_ptr<Control> control;  // becomes the communicator's own, closed with it
  NodeMap nodes;
  // Where memory may come from, first choice first. The first one that works on all ranks is taken.
  std::vector<SegmentSource> sources = {SegmentSource::kMemfd, SegmentSource::kDevShm};
  // Several nodes only. A communicator among the ranks with the same place on their nodes, in order of node, for places
  // below nodes.SmallestNode(), and null on others: they carry the sums of nodes. And one among all ranks.
  std::unique_ptr<Communicator> across;
  std::unique_ptr<Communicator> flat;
  double timeout_seconds = 1800;  // a rank that is waited for longer is an error
  // About once a second of a long wait: a text that says who waits for whom and where. May throw.
  std::function<void(double waited_seconds, const std::string& text)> on_wait;
  std::function<void(std::string_view reason)> end_job;  // Abort's second half: ends the job
};

struct SharedMemoryResult {
  std::unique_ptr<Communicator> communicator;  // null on all ranks where there is no shared memory
  std::string failure;                         // why, the same on all ranks, with sizes and remedy
};

// What a user does about too little shared memory: a sentence.
std::string SharedMemoryRemedy();

// COLLECTIVE. On failure everything of `setup` is closed.
//
// Results. Within a node elements are folded in order of rank, as comm/reduce.h does: the same bits as the thread_ and
// mpi_ back ends. Over several nodes each node folds its own ranks in order, and the nodes' results are folded in order of
// node: the same bits again wherever ranks lie on nodes in the same way. bfloat16 is rounded once, at the end.
//
// Memory. Allocate gives memory that all ranks of the node have mapped; collectives on it copy nothing. Where it cannot be
// had, Allocate warns once and gives plain memory. Collectives on plain memory pass through a staging area.
//
// Crash safety. No name stands in any file system after a collective returned. A rank that left (its communicator is gone)
// or does not come in time is an error of those that wait for it.
SharedMemoryResult MakeSharedMemoryCommunicator(SharedMemorySetup setup);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_SHARED_MEMORY_COMMUNICATOR_H_
