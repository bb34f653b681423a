// Pure.
#include "trainer/study/study_progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "comm/base/log.h"
#include "comm/base/progress.h"

namespace breakeven {
namespace {

constexpr size_t kBarCells = 20;  // as the bar below has it

double Seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

std::string Score(double score) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f", score);
  return text;
}

}  // namespace

StudyProgress::StudyProgress(int64_t pieces, bool enabled) : pieces_(pieces), enabled_(enabled) {
  if (enabled_) SetProgressContext([this] { return Lines(); });
}

StudyProgress::~StudyProgress() {
  if (enabled_) SetProgressContext({});
}

void StudyProgress::Expect(double total_tokens) {
  const std::lock_guard lock(mutex_);
  total_tokens_ = total_tokens;
}

void StudyProgress::Baseline(double score) {
  const std::lock_guard lock(mutex_);
  baseline_ = score;
}

void StudyProgress::Tuned(double score) {
  const std::lock_guard lock(mutex_);
  tuned_ = score;
}

double StudyProgress::SecondsLeft(Clock::time_point now) const {
  if (done_tokens_ <= 0 || finished_ >= pieces_) return std::numeric_limits<double>::quiet_NaN();
  const double left = std::max(0.0, total_tokens_ - skipped_tokens_ - done_tokens_);
  return std::max(0.0,
                  Seconds(last_done_ - begin_) * left / done_tokens_ - Seconds(now - last_done_));
}

std::vector<std::string> StudyProgress::Lines() const {
  const std::lock_guard lock(mutex_);
  const auto pieces = static_cast<double>(pieces_);
  std::string plan = "study " + FormatBar(static_cast<double>(finished_) / pieces, kBarCells) +
                     std::to_string(finished_) + " of " + std::to_string(pieces_) + " done";
  const double left = SecondsLeft(Clock::now());
  if (std::isfinite(left)) plan += ", about " + FormatSeconds(left) + " left";
  std::string scores;
  if (std::isfinite(baseline_)) scores += "dev: best prompt " + Score(baseline_);
  if (std::isfinite(tuned_)) scores += ", tuned " + Score(tuned_);
  if (!now_.empty()) scores += (scores.empty() ? "" : "; ") + ("now " + now_);
  return {plan, scores};
}

void StudyProgress::Begin(std::string_view what) {
  const std::lock_guard lock(mutex_);
  now_ = what;
}

void StudyProgress::Done(std::string_view what, double tokens, std::string_view note) {
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    ++finished_;
    done_tokens_ += tokens;
    last_done_ = Clock::now();
    const double left = SecondsLeft(last_done_);
    line = "study " + std::to_string(finished_) + "/" + std::to_string(pieces_) + ": " +
           std::string(what);
    if (!note.empty()) line += ", " + std::string(note);
    if (std::isfinite(left)) line += "; about " + FormatSeconds(left) + " left";
  }
  // Without the lock: the log erases the bar, and who draws it asks for Lines().
  if (enabled_) LogInfo(line);
}

void StudyProgress::Skip(double tokens) {
  const std::lock_guard lock(mutex_);
  ++finished_;
  skipped_tokens_ += tokens;
}

}  // namespace breakeven
