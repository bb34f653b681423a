// What every back end must do, as checks over a World: thread_ runs them in gtest, mpi_ under
// mpirun. A check is COLLECTIVE and throws std::runtime_error saying what it saw.
#ifndef BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_H_
#define BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_H_

#include <vector>

#include "comm/world.h"

namespace breakeven::contract {

struct Check {
  const char* name;
  void (*run)(World&);
};

// In the order in which they are to be run; none closes the world.
const std::vector<Check>& Checks();

}  // namespace breakeven::contract

#endif  // BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_H_
