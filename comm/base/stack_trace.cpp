// Pure.
#include "comm/base/stack_trace.h"

#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/base/code_names.h"

namespace breakeven {
namespace {

constexpr int kMostFrames = 48;
constexpr size_t kMostThreads = 64;  // asked; a pool of OpenMP has many
constexpr size_t kMostStacks = 8;    // shown

// The one question that is open, and its answer. The handler touches nothing else.
struct Question {
  std::atomic<pid_t> thread{0};  // who is asked; 0: nobody, a late answer is dropped
  std::atomic<bool> answered{false};
  bool abandoned =
      false;  // of the asker: an answer never came to its end (the unwinder blocks), no more is asked
  std::array<void*, kMostFrames> frames{};
  int num_frames = 0;
};
Question question;
static_assert(std::atomic<pid_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

int StackSignal() { return SIGRTMIN + 7; }

pid_t ThisThread() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void Answer(int, siginfo_t*, void*) {
  const int saved_errno = errno;
  pid_t me = ThisThread();
  // Whoever takes the number away writes the answer; the asker does so when its patience ends.
  if (question.thread.compare_exchange_strong(me, 0)) {
    question.num_frames = ::backtrace(question.frames.data(), kMostFrames);
    question.answered.store(true, std::memory_order_release);
  }
  errno = saved_errno;
}

std::string ReadSmallFile(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 1024> buffer{};
  const ssize_t size = ::read(fd, buffer.data(), buffer.size());
  ::close(fd);
  if (size > 0) text.assign(buffer.data(), static_cast<size_t>(size));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string TaskPath(pid_t process, pid_t thread) {
  std::string path = "/proc/" + std::to_string(process);
  if (thread != 0) path += "/task/" + std::to_string(thread);
  return path;
}

// Field `number` of proc(5)'s stat, from 3 (the state) on; "" when there is none.
std::string StatField(pid_t process, pid_t thread, int number) {
  const std::string stat = ReadSmallFile(TaskPath(process, thread) + "/stat");
  size_t begin = stat.rfind(')');  // the name before it may hold anything
  for (int field = 2; field < number && begin != std::string::npos; ++field) {
    begin = stat.find(' ', begin + 1);
  }
  if (begin == std::string::npos) return "";
  return stat.substr(begin + 1, stat.find(' ', begin + 1) - begin - 1);
}

struct Thread {
  pid_t id = 0;
  std::vector<void*> frames;  // innermost first; empty: did not answer
};

std::vector<void*> Ask(pid_t thread, std::chrono::milliseconds patience) {
  if (question.abandoned) return {};
  question.answered.store(false);
  question.thread.store(thread);
  if (::syscall(SYS_tgkill, ::getpid(), thread, StackSignal()) != 0) {
    question.thread.store(0);
    return {};
  }
  const auto begin = std::chrono::steady_clock::now();
  while (!question.answered.load(std::memory_order_acquire)) {
    const auto waited = std::chrono::steady_clock::now() - begin;
    // If the handler has the number already, its answer is on the way.
    if (waited > patience && question.thread.exchange(0) != 0) return {};
    if (waited > 3 * patience) {
      question.abandoned = true;
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // The handler itself and the kernel's trampoline come first.
  const int skipped = std::min(2, question.num_frames);
  return std::vector<void*>(question.frames.begin() + skipped,
                            question.frames.begin() + question.num_frames);
}

bool IsInOurCode(const Thread& thread) {
  // The outermost frames of the main thread (_start) are the program's too, of others only its own functions are.
  return std::any_of(thread.frames.begin(), thread.frames.end(),
                     [](const void* frame) { return ProgramOffset(frame) != 0; });
}

std::vector<pid_t> OtherThreads() {
  std::vector<pid_t> threads;
  DIR* folder = ::opendir("/proc/self/task");
  if (folder == nullptr) return threads;
  while (const dirent* entry = ::readdir(folder)) {
    const pid_t id = std::atoi(entry->d_name);
    if (id == 0 || id == ::getpid() || id == ThisThread()) continue;
    const std::string name = ReadSmallFile(TaskPath(::getpid(), id) + "/comm");
    if (name.rfind(kWatchThreadPrefix, 0) != 0) threads.push_back(id);
  }
  ::closedir(folder);
  std::sort(threads.begin(), threads.end());
  threads.resize(std::min(threads.size(), kMostThreads));
  return threads;
}

std::string Describe(const Thread& thread, size_t num_alike) {
  const bool is_main = thread.id == ::getpid();
  std::string text = is_main ? "  main thread" : "  thread " + std::to_string(thread.id);
  if (num_alike > 1) text += " and " + std::to_string(num_alike - 1) + " alike";
  const std::string path = TaskPath(::getpid(), thread.id);
  if (!is_main) text += " \"" + ReadSmallFile(path + "/comm") + "\"";
  const char state = ProcessState(::getpid(), thread.id);
  text += std::string(", state ") + (state != 0 ? state : '?');
  const std::string wait = ReadSmallFile(path + "/wchan");
  if (!wait.empty() && wait != "0") text += " in " + wait;
  if (thread.frames.empty()) text += ": does not answer";
  for (const void* frame : thread.frames) text += "\n    " + NameOfAddress(frame);
  return text;
}

}  // namespace

void PrepareStackTraces() {
  static std::once_flag once;
  std::call_once(once, [] {
    // The first call loads the unwinder: not in a signal handler.
    std::array<void*, 4> frames{};
    ::backtrace(frames.data(), static_cast<int>(frames.size()));
    struct sigaction former {};
    if (::sigaction(StackSignal(), nullptr, &former) != 0) return;
    if ((former.sa_flags & SA_SIGINFO) != 0 || former.sa_handler != SIG_DFL) return;
    struct sigaction action {};
    action.sa_sigaction = Answer;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    ::sigfillset(&action.sa_mask);
    ::sigaction(StackSignal(), &action, nullptr);
  });
}

std::string StacksOfThreads(std::chrono::milliseconds patience) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  struct sigaction action {};
  if (::sigaction(StackSignal(), nullptr, &action) != 0 || action.sa_sigaction != Answer) {
    return "  no stacks: their signal is in use";  // the default action would end the process
  }
  std::vector<Thread> shown;
  std::vector<size_t> num_alike;
  std::vector<pid_t> ids = OtherThreads();
  if (ThisThread() != ::getpid()) ids.insert(ids.begin(), ::getpid());
  size_t num_silent = 0;
  for (const pid_t id : ids) {
    if (num_silent > 4) break;  // the rest would take too long
    const Thread thread{id, Ask(id, patience)};
    num_silent += thread.frames.empty() ? 1 : 0;
    if (id != ::getpid() && !IsInOurCode(thread)) continue;
    const auto same = std::find_if(shown.begin(), shown.end(),
                                   [&](const Thread& t) { return t.frames == thread.frames; });
    if (same != shown.end()) {
      ++num_alike[static_cast<size_t>(same - shown.begin())];
    } else if (shown.size() < kMostStacks) {
      shown.push_back(thread);
      num_alike.push_back(1);
    }
  }
  std::string text;
  for (size_t i = 0; i < shown.size(); ++i) {
    text += (i > 0 ? "\n" : "") + Describe(shown[i], num_alike[i]);
  }
  return text;
}

char ProcessState(pid_t process, pid_t thread) {
  const std::string state = StatField(process, thread, 3);
  return state.empty() ? '\0' : state[0];
}

uint64_t ProcessStartTime(pid_t process) {
  return std::strtoull(StatField(process, 0, 22).c_str(), nullptr, 10);
}

}  // namespace breakeven
