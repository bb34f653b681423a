#include "launch/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "comm/base/error.h"
#include "comm/base/own_file.h"
#include "comm/base/timing.h"
#include "launch/launcher_environment.h"

namespace breakeven {
namespace {

constexpr double kGraceSeconds = 10;
constexpr int kLookMilliseconds = 1000;

int OpenForWriting(const std::string& path) {
  const int file = OpenOwnFile(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file >= 0) return file;
  throw Error(ErrorKind::kCannotCreate,
              path + ": cannot be created: " + WhyNotOpened(errno) + ". Is the folder writable?");
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// NAME=value of this process, without what a launcher put there.
std::vector<std::string> ScrubbedEnvironment() {
  const std::vector<std::string> launchers = LauncherVariables();
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    if (std::find(launchers.begin(), launchers.end(), name) == launchers.end()) {
      kept.emplace_back(text);
    }
  }
  return kept;
}

// In the child, between fork and exec: system calls alone.
[[noreturn]] void Become(char** arguments, char** environment, int input, int output, int errors,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGXFSZ}) ::signal(number, SIG_DFL);
  ::execvpe(arguments[0], arguments, environment);
  ::_exit(127);
}

ChildEnd Await(pid_t child, double timeout_seconds, const std::function<bool()>& stop) {
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  ChildEnd end;
  const Stopwatch watch;
  double asked_at = -1;
  int status = 0;
  while (true) {
    pollfd waiting = {process, POLLIN, 0};
    ::poll(&waiting, 1, kLookMilliseconds);  // a kernel without pidfd_open: just the pause
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    const double now = watch.Seconds();
    if (asked_at >= 0) {
      if (now - asked_at > kGraceSeconds) ::kill(child, SIGKILL);
      continue;
    }
    end.stopped = stop();
    end.timed_out = !end.stopped && timeout_seconds > 0 && now > timeout_seconds;
    if (!end.stopped && !end.timed_out) continue;
    asked_at = now;
    ::kill(child, SIGTERM);
  }
  if (process >= 0) ::close(process);
  end.stopped = end.stopped || stop();
  end.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return end;
}

}  // namespace

std::string OwnProgram() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

ChildEnd RunChild(const ChildCommand& command, const std::function<bool()>& stop) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = ScrubbedEnvironment();
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = OpenForWriting(command.output);
  const int errors = OpenForWriting(command.errors);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    Become(const_cast<char**>(argument_pointers.data()),
           const_cast<char**>(environment_pointers.data()), input, output, errors, parent);
  }
  const int why = errno;
  for (const int file : {input, output, errors}) ::close(file);
  if (child < 0) {
    throw Error(ErrorKind::kMachine,
                command.arguments.front() + ": cannot be started: " + std::strerror(why));
  }
  return Await(child, command.timeout_seconds, stop);
}

}  // namespace breakeven
