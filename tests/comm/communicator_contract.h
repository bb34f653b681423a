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
  bool allocates = false;  // with the data plane's Allocate
};

std::vector<Check> DataChecks();  // ReductionChecks among them
std::vector<Check> ReductionChecks();
std::vector<Check> ControlChecks();

// All of them; none closes the world.
inline const std::vector<Check>& Checks() {
  static const std::vector<Check> all = [] {
    std::vector<Check> checks = ControlChecks();
    for (const Check& check : DataChecks()) checks.push_back(check);
    return checks;
  }();
  return all;
}

}  // namespace breakeven::contract

#endif  // BREAKEVEN_TESTS_COMM_COMMUNICATOR_CONTRACT_H_
