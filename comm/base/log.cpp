#include "comm/base/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>

#include "comm/base/error.h"
#include "comm/base/own_file.h"
#include "comm/base/progress.h"
#include "comm/base/utf8.h"

namespace breakeven {
namespace {

// One write(2) a message: with O_APPEND, lines of several ranks and of a launcher never interleave.
class DescriptorSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  DescriptorSink(int fd, bool owned, const std::string& pattern) : fd_(fd), owned_(owned) {
    set_pattern_(pattern);
  }
  ~DescriptorSink() override {
    if (owned_) ::close(fd_);
  }
  DescriptorSink(const DescriptorSink&) = delete;
  DescriptorSink& operator=(const DescriptorSink&) = delete;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const char* data = line.data();
    size_t left = line.size();
    while (left > 0) {
      const ssize_t written = ::write(fd_, data, left);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return;  // a log that cannot be written must not end the job
      data += written;
      left -= static_cast<size_t>(written);
    }
  }
  void flush_() override {}

 private:
  int fd_;
  bool owned_;
};

constexpr char kConsolePattern[] = "%v";
constexpr char kFilePattern[] = "%Y-%m-%dT%H:%M:%S.%e%z %v";

// Leaked on purpose: a thread may still log while the process's static objects are destroyed.
struct Log {
  std::mutex mutex;
  std::shared_ptr<DescriptorSink> console =
      std::make_shared<DescriptorSink>(STDERR_FILENO, false, kConsolePattern);
  std::shared_ptr<DescriptorSink> file;
  std::atomic<int> rank{0};
  std::atomic<int> world_size{1};
  std::atomic<bool> quiet{false};
};

Log& TheLog() {
  static Log* log = new Log;
  return *log;
}

// A message may quote what a damaged or hostile file holds. To a terminal that would be commands,
// and to who reads the log no text: control characters but the line's end and tab are shown as
// \x1b, what is not UTF-8 as U+FFFD.
std::string Printable(std::string_view message) {
  std::string text;
  AppendUtf8Lossy(message, &text);
  std::string shown;
  shown.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p != end;) {
    const char* const begin = p;
    const uint32_t c = NextCodePoint(p);
    const bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
    if (control) {
      shown += fmt::format("\\x{:02x}", c);
    } else {
      shown.append(begin, p);
    }
  }
  return shown;
}

void Say(spdlog::level::level_enum level, const char* word, std::string_view message) {
  Log& log = TheLog();
  const int rank = log.rank;
  if (level == spdlog::level::info && rank != 0) return;
  std::string line;
  if (level != spdlog::level::info) {
    if (log.world_size > 1) line = "[rank " + std::to_string(rank) + "] ";
    line += word;
  }
  line += Printable(message);
  std::shared_ptr<DescriptorSink> file;
  {
    const std::lock_guard lock(log.mutex);
    file = log.file;
  }
  const spdlog::details::log_msg record("breakeven", level, line);
  if (level != spdlog::level::info || !log.quiet) {
    EraseProgress();
    log.console->log(record);
  }
  if (file) file->log(record);
}

}  // namespace

void LogInfo(std::string_view message) { Say(spdlog::level::info, "", message); }
void LogWarning(std::string_view message) { Say(spdlog::level::warn, "warning: ", message); }
void LogError(std::string_view message) { Say(spdlog::level::err, "error: ", message); }

void SetLogRank(int rank, int world_size) {
  TheLog().rank = rank;
  TheLog().world_size = world_size;
}

void SetLogFile(const std::string& path) {
  const int fd = OpenOwnFile(path, O_WRONLY | O_APPEND | O_CREAT);
  if (fd < 0) {
    throw Error(ErrorKind::kCannotCreate, path +
                                              ": cannot open the log file: " + WhyNotOpened(errno) +
                                              ". Check that the folder exists and may be written.");
  }
  auto sink = std::make_shared<DescriptorSink>(fd, true, kFilePattern);
  const std::lock_guard lock(TheLog().mutex);
  TheLog().file = std::move(sink);
}

void SetLogQuiet(bool quiet) { TheLog().quiet = quiet; }

}  // namespace breakeven
