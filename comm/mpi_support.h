// Pure. What the MPI back ends share and what mpi_session builds them with. mpi.h stays out of headers.
#ifndef BREAKEVEN_COMM_MPI_SUPPORT_H_
#define BREAKEVEN_COMM_MPI_SUPPORT_H_

#include <memory>
#include <source_location>

#include "comm/communicator.h"
#include "comm/control.h"

namespace breakeven {

// Turns an MPI return code other than MPI_SUCCESS into a TransportError: rank, host, MPI's call and reason, the place in this
// program (left out by the caller), and the remedy.
void CheckMpi(int code, const char* call,
              std::source_location place = std::source_location::current());

// COLLECTIVE over MPI_COMM_WORLD. Each works on a duplicate of it, with errors returned.
std::unique_ptr<Control> MakeMpiControl();
std::unique_ptr<Communicator> MakeMpiCommunicator();
// COLLECTIVE over MPI_COMM_WORLD. Among the ranks that give the same `group`, in order of `place`; null where it is < 0.
std::unique_ptr<Communicator> MakeMpiCommunicatorOf(int group, int place);

// Duplicates that were made and not yet closed. Finalizing MPI with some left would wait for ranks that have failed.
int NumOpenMpiCommunicators();
void CountOpenMpiCommunicator(int change);

// Ends the whole job from any thread and any state of MPI: MPI_Abort where MPI runs, and _exit if that does not return in
// time. Only the low 8 bits of a status reach the shell, so codes are checked to be 1 … 255.
[[noreturn]] void AbortJob(int exit_code, std::string_view reason) noexcept;

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_MPI_SUPPORT_H_
