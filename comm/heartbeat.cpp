// Pure.
#include "comm/heartbeat.h"

#include <cstdio>

#include "comm/base/code_names.h"

namespace breakeven {
namespace {

constexpr std::array<std::string_view, kNumPhases> kPhaseNames = {
    "idle", "start-up", "input", "step", "checkpoint", "validation", "eval", "ended"};

constexpr std::array<std::string_view, 8> kCollectiveNames = {
    "none", "AllReduce", "ReduceScatter", "AllGather", "Broadcast", "Barrier", "Allocate", "Close"};

std::string Bytes(int64_t num_bytes) {
  constexpr std::array<const char*, 4> kUnits = {"bytes", "KiB", "MiB", "GiB"};
  auto value = static_cast<double>(num_bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

std::string_view PhaseName(Phase phase) {
  const auto index = static_cast<size_t>(phase);
  return index < kPhaseNames.size() ? kPhaseNames[index] : "unknown";
}

std::string_view CollectiveName(CollectiveKind kind) {
  const auto index = static_cast<size_t>(kind);
  return index < kCollectiveNames.size() ? kCollectiveNames[index] : "unknown";
}

std::string Describe(Plane plane, const PlaneStatus& status) {
  if (status.begun == 0) return "";
  std::string text = plane == Plane::kData ? "data" : "control";
  text += " collective " + std::to_string(status.begun) + ": " +
          std::string(CollectiveName(status.kind));
  if (status.num_bytes > 0) text += " of " + Bytes(status.num_bytes);
  text += ", called in " + NameOfCode(status.site);
  return text + (status.inside() ? ", not finished" : ", finished");
}

std::string DescribePlace(const Heartbeat& heartbeat) {
  std::string text = "phase " + std::string(PhaseName(heartbeat.phase));
  if (heartbeat.step >= 0) text += ", step " + std::to_string(heartbeat.step);
  return text;
}

void HeartbeatLine::Start(int64_t pid, uint64_t start_time) {
  step_.store(-1, kRelaxed);
  start_time_.store(start_time, kRelaxed);
  pid_.store(pid, std::memory_order_release);
}

void HeartbeatLine::EnterPhase(Phase phase, int64_t step) {
  step_.store(step, kRelaxed);
  phase_.store(static_cast<uint32_t>(phase), kRelaxed);
  Beat();
}

void HeartbeatLine::Begin(Plane plane, CollectiveKind kind, int64_t num_bytes, uint64_t site) {
  PlaneLine& line = planes_[static_cast<size_t>(plane)];
  line.kind.store(static_cast<uint32_t>(kind), kRelaxed);
  line.num_bytes.store(num_bytes, kRelaxed);
  line.site.store(site, kRelaxed);
  line.begun.store(line.begun.load(kRelaxed) + 1, std::memory_order_release);
  Beat();
}

void HeartbeatLine::End(Plane plane) {
  PlaneLine& line = planes_[static_cast<size_t>(plane)];
  line.done.store(line.begun.load(kRelaxed), std::memory_order_release);
  Beat();
}

Heartbeat HeartbeatLine::Read() const {
  Heartbeat heartbeat;
  heartbeat.beats = beats_.load(kRelaxed);
  heartbeat.ticks = ticks_.load(kRelaxed);
  heartbeat.pid = pid_.load(std::memory_order_acquire);
  heartbeat.start_time = start_time_.load(kRelaxed);
  heartbeat.step = step_.load(kRelaxed);
  heartbeat.phase = phase();
  for (size_t i = 0; i < kNumPlanes; ++i) {
    PlaneStatus& status = heartbeat.planes[i];
    status.done = planes_[i].done.load(std::memory_order_acquire);
    status.begun = planes_[i].begun.load(std::memory_order_acquire);
    status.kind = static_cast<CollectiveKind>(planes_[i].kind.load(kRelaxed));
    status.num_bytes = planes_[i].num_bytes.load(kRelaxed);
    status.site = planes_[i].site.load(kRelaxed);
  }
  return heartbeat;
}

void AlarmFlag::Raise(const AlarmCause& cause) {
  uint32_t quiet = 0;
  if (!state_.compare_exchange_strong(quiet, 1)) return;
  kind_.store(static_cast<uint32_t>(cause.kind), kRelaxed);
  phase_.store(static_cast<uint32_t>(cause.phase), kRelaxed);
  learned_.store(cause.learned, kRelaxed);
  raised_by_.store(cause.raised_by, kRelaxed);
  about_.store(cause.about, kRelaxed);
  seconds_.store(cause.seconds, kRelaxed);
  limit_.store(cause.limit, kRelaxed);
  state_.store(kReady, std::memory_order_release);
}

AlarmCause AlarmFlag::cause() const {
  AlarmCause cause;
  cause.kind = static_cast<AlarmCause::Kind>(kind_.load(kRelaxed));
  cause.phase = static_cast<Phase>(phase_.load(kRelaxed));
  cause.learned = learned_.load(kRelaxed);
  cause.raised_by = raised_by_.load(kRelaxed);
  cause.about = about_.load(kRelaxed);
  cause.seconds = seconds_.load(kRelaxed);
  cause.limit = limit_.load(kRelaxed);
  return cause;
}

}  // namespace breakeven
