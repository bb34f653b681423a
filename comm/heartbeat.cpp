// Pure.
#include "comm/heartbeat.h"

#include <cstdio>

#include "comm/base/code_names.h"

namespace breakeven {
namespace {

constexpr std::array<std::string_view, kNumPhases> kPhaseNames = {
    "idle", "start-up", "input", "step", "checkpoint", "validation", "eval", "closing", "ended"};

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

std::string Describe(Plane plane, const PlaneStatus& status) {
  if (status.begun == 0) return "";
  std::string text = std::string(PlaneName(plane)) + " " +
                     std::string(CollectiveName(status.collective)) + ", call " +
                     std::to_string(status.begun - 1);
  if (status.num_bytes > 0) text += ", of " + Bytes(status.num_bytes);
  const std::string_view file = ProgramText(status.site_file);
  if (!file.empty()) text += " at " + SiteText(file, status.site_line);
  if (status.inside()) return text + ", not finished";
  return text + (status.only_launches ? ", launched" : ", finished");
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

void HeartbeatLine::Begin(const CollectiveCall& call) {
  PlaneLine& line = planes_[static_cast<size_t>(call.plane)];
  line.collective.store(static_cast<uint32_t>(call.collective), kRelaxed);
  line.only_launches.store(call.only_launches ? 1 : 0, kRelaxed);
  line.num_bytes.store(call.num_bytes(), kRelaxed);
  line.site_file.store(ProgramOffset(call.site.file_name()), kRelaxed);
  line.site_line.store(call.site.line(), kRelaxed);
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
    status.collective = static_cast<Collective>(planes_[i].collective.load(kRelaxed));
    status.only_launches = planes_[i].only_launches.load(kRelaxed) != 0;
    status.num_bytes = planes_[i].num_bytes.load(kRelaxed);
    status.site_file = planes_[i].site_file.load(kRelaxed);
    status.site_line = planes_[i].site_line.load(kRelaxed);
  }
  return heartbeat;
}

std::unique_ptr<CollectiveObserver> MakeHeartbeatObserver(HeartbeatLine& line) {
  class Observer final : public CollectiveObserver {
   public:
    explicit Observer(HeartbeatLine& own) : line_(own) {}
    void Begin(const CollectiveCall& call) override { line_.Begin(call); }
    void End(const CollectiveCall& call) noexcept override { line_.End(call.plane); }
    void Abort() noexcept override { line_.EnterPhase(Phase::kEnded, -1); }

   private:
    HeartbeatLine& line_;
  };
  return std::make_unique<Observer>(line);
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
