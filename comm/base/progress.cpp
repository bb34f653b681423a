#include "comm/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "comm/base/log.h"
#include "comm/base/utf8.h"

namespace breakeven {
namespace {

bool DrawsBars() {
  const char* asked = std::getenv("BREAKEVEN_PROGRESS");
  if (asked != nullptr && std::string_view(asked) == "bar") return true;
  if (asked != nullptr && std::string_view(asked) == "lines") return false;
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

size_t TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

// The process has one terminal.
struct Screen {
  std::mutex mutex;
  size_t num_drawn = 0;  // lines; the cursor stands in the last
  std::function<std::vector<std::string>()> context;
};
Screen& TheScreen() {
  static Screen* screen = new Screen;  // the log may write while the process ends
  return *screen;
}

// To the first column of the first line drawn. Requires screen.mutex.
std::string ToTop(const Screen& screen) {
  std::string text = "\r";
  for (size_t i = 1; i < screen.num_drawn; ++i) text += "\033[1A";
  return text;
}

std::vector<std::string> ContextLines() {
  std::function<std::vector<std::string>()> context;
  {
    const std::lock_guard lock(TheScreen().mutex);
    context = TheScreen().context;
  }
  return context ? context() : std::vector<std::string>();
}

// A line that wraps could not be drawn over.
std::string CutToTerminal(const std::string& line) {
  std::string text;
  AppendUtf8Lossy(line, &text);
  const size_t columns = TerminalColumns() - 1;
  const char* end = text.data();
  for (size_t i = 0; i < columns && end < text.data() + text.size(); ++i) NextCodePoint(end);
  text.resize(static_cast<size_t>(end - text.data()));
  return text;
}

void DrawOnScreen(const std::vector<std::string>& lines) {
  Screen& screen = TheScreen();
  const std::lock_guard lock(screen.mutex);
  std::string text = ToTop(screen);
  for (size_t i = 0; i < lines.size(); ++i) {
    text += (i == 0 ? "" : "\n") + CutToTerminal(lines[i]) + "\033[K";
  }
  text += "\033[J";
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
  screen.num_drawn = lines.size();
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

std::string FormatBar(double share, size_t cells) {
  const double clamped = std::clamp(share, 0., 1.);
  const auto full = static_cast<size_t>(clamped * static_cast<double>(cells));
  return fmt::format("[{}{}] {:3.0f} % ", std::string(full, '#'), std::string(cells - full, '.'),
                     clamped * 100);
}

void SetProgressContext(std::function<std::vector<std::string>()> lines) {
  const std::lock_guard lock(TheScreen().mutex);
  TheScreen().context = std::move(lines);
}

void EraseProgress() {
  Screen& screen = TheScreen();
  const std::lock_guard lock(screen.mutex);
  if (screen.num_drawn == 0) return;
  std::fputs((ToTop(screen) + "\033[J").c_str(), stderr);
  std::fflush(stderr);
  screen.num_drawn = 0;
}

Progress::Progress(std::string_view title, int64_t total, const ProgressOptions& options)
    : title_(title),
      total_(total),
      options_(options),
      terminal_(DrawsBars()),
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
  LogInfo(text);
  if (drawn_ && !finished_) Draw(Clock::now());
}

void Progress::Finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (!options_.enabled) return;
  if (drawn_) EraseProgress();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  // A short job said nothing so far and need not say that it is done.
  if (lines_shown_ || seconds >= 1) {
    LogInfo(title_ + ": " + FormatCount(done_) + " in " + FormatSeconds(seconds));
  }
}

std::string Progress::Numbers(double seconds) const {
  std::string text = FormatCount(done_);
  if (total_ > 0) text += " of " + FormatCount(total_);
  if (!note_.empty()) text += ", " + note_;
  const double rate = seconds > 0 ? static_cast<double>(done_ - options_.start) / seconds : 0;
  if (rate > 0) {
    text += ", " + Rate(rate);
    if (total_ > done_) {
      text += ", " + FormatSeconds(static_cast<double>(total_ - done_) / rate) + " left";
    }
  }
  return text;
}

void Progress::Draw(Clock::time_point now) {
  constexpr size_t kBarCells = 20;
  std::vector<std::string> lines = ContextLines();
  std::string line = title_ + " ";
  if (total_ > 0) {
    line += FormatBar(static_cast<double>(done_) / static_cast<double>(total_), kBarCells);
  }
  lines.push_back(line + Numbers(std::chrono::duration<double>(now - begin_).count()));
  DrawOnScreen(lines);
  drawn_ = true;
  last_shown_ = now;
}

void Progress::PlainLine(Clock::time_point now) {
  LogInfo(title_ + ": " + Numbers(std::chrono::duration<double>(now - begin_).count()));
  lines_shown_ = true;
  last_shown_ = now;
}

}  // namespace breakeven
