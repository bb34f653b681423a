// A program started below this one, and waited for.
#ifndef BREAKEVEN_LAUNCH_CHILD_PROCESS_H_
#define BREAKEVEN_LAUNCH_CHILD_PROCESS_H_

#include <functional>
#include <string>
#include <vector>

namespace breakeven {

struct ChildCommand {
  std::vector<std::string> arguments;  // the first is looked up in PATH
  std::string output;                  // files that take what it says
  std::string errors;
  double timeout_seconds = 0;  // 0 = none
};

struct ChildEnd {
  int exit_code = 0;  // 128 + n: ended by signal n; 127: could not be started
  bool timed_out = false;
  bool stopped = false;  // `stop` said so by the end
};

// The file that this program was started from.
std::string OwnProgram();

// Starts it without LauncherVariables() and without input. It gets SIGTERM where it takes too long, where `stop` turns true (looked
// at when a signal arrives, and once a second), or where this process dies; SIGKILL 10 s later. Error(kCannotCreate) where a
// file cannot be made, kMachine where there are no processes left.
ChildEnd RunChild(const ChildCommand& command, const std::function<bool()>& stop);

}  // namespace breakeven

#endif  // BREAKEVEN_LAUNCH_CHILD_PROCESS_H_
