// Pure. The one exception type of the program, and the exit code that each kind of error ends with.
#ifndef BREAKEVEN_COMM_BASE_ERROR_H_
#define BREAKEVEN_COMM_BASE_ERROR_H_

#include <stdexcept>
#include <string>
#include <string_view>

namespace breakeven {

// The values are the process's exit codes: sysexits.h where it has a word for the case. They are part of the
// interface (batch scripts requeue on 75), so change none.
enum class ErrorKind : int {
  kUsage = 64,          // command line or config: fix it, a rerun changes nothing
  kBadData = 65,        // a data, model or checkpoint file is not what it must be
  kInternal = 70,       // a broken invariant of ours, or the watchdog
  kCannotCreate = 73,   // an output cannot be created
  kIo = 74,             // reading or writing failed half-way: disk full, EIO
  kSavedRequeue = 75,   // stopped by a signal with everything saved: run the same command again
  kCommunication = 76,  // another rank or the network failed
  kMachine = 78,        // this machine is not fit for the job: missing GPU, too little memory
};

// Of std::bad_alloc, where nothing more is known of what was being done; with kMachine.
inline constexpr std::string_view kOutOfMemory =
    "out of memory; smaller batches or fewer ranks on this machine need less";

// Thrown for everything that ends an operation. `message` is one or a few lines for the user: it names the file, the
// key or line, what was found, what was expected, and the remedy. Programmer errors are BE_CHECKs.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, bool on_all_ranks = false)
      : std::runtime_error(message), kind_(kind), on_all_ranks_(on_all_ranks) {}
  ErrorKind kind() const { return kind_; }
  // Every rank throws this same error at the same place (RunTogether and CheckSameOnAllRanks see to it): rank 0 speaks
  // for all and the job ends in order. Any other error ends the job by Control::Abort.
  bool on_all_ranks() const { return on_all_ranks_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
  bool on_all_ranks_;
};

// "usage", "bad data", …: the word that the log puts before the message.
std::string_view ErrorKindName(ErrorKind kind);

[[noreturn]] void FailCheck(const char* condition, const char* file, int line,
                            const std::string& detail);

}  // namespace breakeven

// Ends the operation with ErrorKind::kInternal when an invariant of this program is broken. Never for user input.
#define BE_CHECK(condition, detail)                                     \
  do {                                                                  \
    if (!(condition)) {                                                 \
      ::breakeven::FailCheck(#condition, __FILE__, __LINE__, (detail)); \
    }                                                                   \
  } while (false)

#endif  // BREAKEVEN_COMM_BASE_ERROR_H_
