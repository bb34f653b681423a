// Pure.
#include "trainer/metrics_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/own_file.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// The lines of steps up to `last_step`. A line that is no JSON object is the torn end of a killed
// process.
std::string KeepUpTo(const std::string& text, int64_t last_step) {
  std::string kept;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) continue;
    if (json["step"].get<int64_t>() > last_step) continue;
    kept.append(line).push_back('\n');
  }
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(const std::string& path, int64_t last_step) : path_(path) {
  if (!path_.empty()) Open(last_step);
}

void MetricsLog::CutBehind(int64_t last_step) {
  if (fd_ < 0) return;
  Flush();
  ::close(std::exchange(fd_, -1));
  Open(last_step);
}

void MetricsLog::Open(int64_t last_step) {
  if (std::filesystem::exists(path_)) {
    const std::string text = ReadFile(path_);
    const std::string kept = KeepUpTo(text, last_step);
    if (kept != text) WriteFileDurably(path_, kept);
  }
  fd_ = OpenOwnFile(path_, O_WRONLY | O_CREAT | O_APPEND);
  if (fd_ < 0) {
    throw Error(ErrorKind::kCannotCreate, path_ + ": cannot open: " + WhyNotOpened(errno));
  }
  FsyncDirectory(std::filesystem::path(path_).parent_path());
}

MetricsLog::~MetricsLog() {
  if (fd_ < 0) return;
  try {
    Flush();
  } catch (const Error&) {  // the run is ending with another error already, or said this one at its
                            // last Flush
  }
  ::close(fd_);
}

void MetricsLog::Step(const StepMetrics& m) {
  if (fd_ < 0) return;
  const double rate = m.step_seconds > 0 ? static_cast<double>(m.tokens) / m.step_seconds : 0.0;
  Json json = {{"event", "step"},
               {"step", m.step},
               {"epoch", m.epoch},
               {"loss", Number(m.loss)},
               {"learning_rate", Number(m.learning_rate)},
               {"grad_norm", Number(m.grad_norm)},
               {"target_tokens", m.target_tokens},
               {"tokens", m.tokens},
               {"tokens_per_second", Number(rate)},
               {"step_seconds", Number(m.step_seconds)},
               {"exposed_communication_seconds", Number(m.exposed_communication_seconds)},
               {"skew_seconds", Number(m.skew_seconds)},
               {"input_wait_seconds", Number(m.input_wait_seconds)}};
  if (m.skipped) json["skipped"] = true;
  pending_ += json.dump() + "\n";
}

void MetricsLog::Event(std::string_view event, int64_t step, const std::vector<Field>& fields) {
  if (fd_ < 0) return;
  Json json = {{"event", event}, {"step", step}};
  for (const auto& [name, value] : fields) {
    const std::string key(name);
    if (const double* number = std::get_if<double>(&value)) {
      json[key] = Number(*number);
    } else if (const int64_t* count = std::get_if<int64_t>(&value)) {
      json[key] = *count;
    } else {
      json[key] = std::get<std::string>(value);
    }
  }
  pending_ += json.dump() + "\n";
  Flush();
}

void MetricsLog::Flush() {
  if (fd_ < 0) return;
  const std::string text = std::exchange(pending_, {});
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(fd_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw Error(ErrorKind::kIo, path_ + ": cannot write: " + std::strerror(errno));
    }
    done += static_cast<size_t>(written);
  }
}

void MetricsLog::Sync() {
  Flush();
  if (fd_ < 0) return;
  while (::fdatasync(fd_) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL) return;  // a file system that cannot sync this kind of file
    throw Error(ErrorKind::kIo, path_ + ": fdatasync failed: " + std::strerror(errno) +
                                    ". Look at the disk, its free space and your quota, and run "
                                    "the same command again");
  }
}

}  // namespace breakeven
