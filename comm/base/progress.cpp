#include "comm/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "comm/base/log.h"

namespace breakeven {
namespace {

bool StderrIsTerminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

size_t TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// The process has one terminal.
struct Context {
  std::mutex mutex;
  std::string text;
};
Context& TheContext() {
  static Context context;
  return context;
}

std::string ContextText() {
  Context& context = TheContext();
  const std::lock_guard lock(context.mutex);
  return context.text.empty() ? "" : context.text + " | ";
}

std::string Rate(double per_second) {
  char text[32];
  std::snprintf(text, sizeof(text), per_second < 10 ? "%.2f/s" : "%.0f/s", per_second);
  return text;
}

}  // namespace

std::string FormatSeconds(double seconds) {
  char text[48];
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) {
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
    return text;
  }
  const auto whole = static_cast<long long>(std::llround(std::min(seconds, 1e15)));
  if (whole < 60) {
    std::snprintf(text, sizeof(text), "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof(text), "%lld min %02lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld h %02lld min", whole / 3600, whole % 3600 / 60);
  }
  return text;
}

std::string FormatCount(int64_t count) {
  std::string digits = std::to_string(count);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

void SetProgressContext(std::string_view context) {
  const std::lock_guard lock(TheContext().mutex);
  TheContext().text = context;
}

Progress::Progress(std::string_view title, int64_t total, const ProgressOptions& options)
    : title_(title),
      total_(total),
      options_(options),
      terminal_(StderrIsTerminal()),
      begin_(Clock::now()),
      last_shown_(begin_),
      done_(options.start) {}

Progress::~Progress() { Finish(); }

void Progress::Add(int64_t n, std::string_view note) {
  const std::lock_guard lock(mutex_);
  const bool was_done = done_ >= total_;
  done_ += n;
  if (!options_.enabled || finished_) return;
  if (!note.empty()) note_ = note;
  const Clock::time_point now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_shown_).count();
  if (terminal_) {
    if (!drawn_ || since >= 0.1 || (done_ >= total_ && !was_done)) Draw(now);
  } else if (since >= options_.line_every_seconds) {
    PlainLine(now);
  }
}

void Progress::Line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!options_.enabled) return;
  if (drawn_) std::fputs("\r\033[K", stderr);
  LogInfo(text);
  if (drawn_ && !finished_) Draw(Clock::now());
}

void Progress::Finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (!options_.enabled) return;
  if (drawn_) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    drawn_ = false;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  // A short job said nothing so far and need not say that it is done.
  if (lines_shown_ || seconds >= 1) {
    LogInfo(title_ + ": " + FormatCount(done_) + " in " + FormatSeconds(seconds));
  }
}

std::string Progress::Numbers(double seconds) const {
  std::string text = FormatCount(done_);
  if (total_ > 0) text += " of " + FormatCount(total_);
  const double rate = seconds > 0 ? static_cast<double>(done_ - options_.start) / seconds : 0;
  if (rate > 0) {
    text += ", " + Rate(rate);
    if (total_ > done_) {
      text += ", " + FormatSeconds(static_cast<double>(total_ - done_) / rate) + " left";
    }
  }
  if (!note_.empty()) text += ", " + note_;
  return text;
}

void Progress::Draw(Clock::time_point now) {
  constexpr size_t kBarCells = 24;
  std::string line = ContextText() + title_ + " ";
  if (total_ > 0) {
    const double share =
        std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0., 1.);
    const auto full = static_cast<size_t>(share * kBarCells);
    char percent[8];
    std::snprintf(percent, sizeof(percent), " %3.0f %% ", share * 100);
    line += "[" + std::string(full, '#') + std::string(kBarCells - full, '.') + "]" + percent;
  }
  line += Numbers(std::chrono::duration<double>(now - begin_).count());
  // A line that wraps could not be drawn over.
  const size_t columns = TerminalColumns();
  if (line.size() >= columns) line.resize(columns - 1);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
  last_shown_ = now;
}

void Progress::PlainLine(Clock::time_point now) {
  LogInfo(title_ + ": " + Numbers(std::chrono::duration<double>(now - begin_).count()));
  lines_shown_ = true;
  last_shown_ = now;
}

}  // namespace breakeven
