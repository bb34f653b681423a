// How far a long job is: a bar with rate and time left on a terminal, plain log lines elsewhere.
#ifndef BREAKEVEN_COMM_BASE_PROGRESS_H_
#define BREAKEVEN_COMM_BASE_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

struct ProgressOptions {
  bool enabled = true;  // ranks other than 0 pass false
  int64_t start = 0;    // done before this process started (a resumed run); not counted in the rate
  double line_every_seconds = 15;  // where stderr is no terminal
};

// Thread-safe. Draws on stderr, at most ten times a second; stdout stays free for tables and
// --json. Where stderr is no terminal there are plain lines instead: so under mpirun, which puts a
// pipe between. BREAKEVEN_PROGRESS=bar | lines in the environment decides otherwise.
class Progress {
 public:
  // `title` is a word or two ("train", "tokenise train"); `total` in any unit, 0 = unknown.
  Progress(std::string_view title, int64_t total, const ProgressOptions& options = {});
  ~Progress();  // Finish()
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `note` stands behind the count ("loss 1.234"); an empty one leaves the last.
  void Add(int64_t n, std::string_view note = "");
  // Logs a line of text (LogInfo) above the bar.
  void Line(std::string_view text);
  // Removes the bar; later calls do nothing. The last plain line says how long the whole took.
  void Finish();

 private:
  using Clock = std::chrono::steady_clock;
  void Draw(Clock::time_point now);       // requires mutex_
  void PlainLine(Clock::time_point now);  // requires mutex_
  std::string Numbers(double seconds) const;

  const std::string title_;
  const int64_t total_;
  const ProgressOptions options_;
  const bool terminal_;
  const Clock::time_point begin_;
  std::mutex mutex_;
  Clock::time_point last_shown_;
  int64_t done_;
  std::string note_;
  bool lines_shown_ = false;
  bool drawn_ = false;  // once
  bool finished_ = false;
};

// "[######......]  50 % ", `cells` wide between the brackets. Pure.
std::string FormatBar(double share, size_t cells);

// Lines above every bar from now on: where a job of several parts is. Asked at each drawing, by the thread that draws; empty
// function = nothing. Plain lines are without it. Thread-safe.
void SetProgressContext(std::function<std::vector<std::string>()> lines);

// Takes what is drawn off the terminal until it is drawn again: the log does so before it writes a line there. Thread-safe.
void EraseProgress();

// "1 h 02 min", "3 min 07 s", "12 s", "0.4 s": for people. Pure.
std::string FormatSeconds(double seconds);
// "1,234,567". Pure.
std::string FormatCount(int64_t count);

}  // namespace breakeven

#endif  // BREAKEVEN_COMM_BASE_PROGRESS_H_
