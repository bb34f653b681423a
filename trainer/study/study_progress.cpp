// Pure.
#include "trainer/study/study_progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "comm/base/log.h"
#include "comm/base/progress.h"

namespace breakeven {

StudyProgress::StudyProgress(int64_t pieces, bool enabled) : pieces_(pieces), enabled_(enabled) {}

StudyProgress::~StudyProgress() {
  if (enabled_) SetProgressContext("");
}

void StudyProgress::Tuned(double score) { tuned_ = score; }

double StudyProgress::SecondsLeft() const {
  if (done_tokens_ <= 0 || finished_ >= pieces_) return std::numeric_limits<double>::quiet_NaN();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  return seconds * std::max(0.0, total_tokens_ - skipped_tokens_ - done_tokens_) / done_tokens_;
}

std::string StudyProgress::Where() const {
  std::string text =
      "study " + std::to_string(std::min(finished_ + 1, pieces_)) + "/" + std::to_string(pieces_);
  const double left = SecondsLeft();
  if (std::isfinite(left)) text += ", " + FormatSeconds(left) + " left";
  char score[64];
  if (std::isfinite(baseline_)) {
    std::snprintf(score, sizeof(score), ", dev: prompt %.3f", baseline_);
    text += score;
  }
  if (std::isfinite(tuned_)) {
    std::snprintf(score, sizeof(score), ", tuned %.3f", tuned_);
    text += score;
  }
  return text;
}

void StudyProgress::Begin(std::string_view what) {
  if (enabled_) SetProgressContext(Where() + ", " + std::string(what));
}

void StudyProgress::Done(std::string_view what, double tokens, std::string_view note) {
  ++finished_;
  done_tokens_ += tokens;
  if (!enabled_) return;
  const double left = SecondsLeft();
  LogInfo("study " + std::to_string(finished_) + "/" + std::to_string(pieces_) + ": " +
          std::string(what) + (note.empty() ? "" : ", " + std::string(note)) +
          (std::isfinite(left) ? "; about " + FormatSeconds(left) + " left" : ""));
}

void StudyProgress::Skip(double tokens) {
  ++finished_;
  skipped_tokens_ += tokens;
}

}  // namespace breakeven
