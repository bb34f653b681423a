// Pure.
#include "comm/watchdog.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <new>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "comm/base/stack_trace.h"

namespace breakeven {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInterval{100};
constexpr milliseconds kStackPatience{150};
constexpr milliseconds kReportPatience{1000};    // for the other ranks of the node to log theirs
constexpr milliseconds kExchangePatience{1000};  // for the other nodes
// A thread that has not come round for this long belongs to a process that does not run.
constexpr double kSilentSeconds = 1.5;
constexpr double kSuspiciousSeconds = 0.3;
constexpr int kExitCode = static_cast<int>(ErrorKind::kInternal);

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string Seconds(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g s", seconds);
  return text.data();
}

// Ends the process whatever else blocks: a log on a file system that is gone, MPI, a lock that a stopped thread holds.
void StartBackstop() {
  try {
    std::thread([] {
      std::this_thread::sleep_for(std::chrono::duration<double>(Watchdog::kSecondsToEnd));
      ::_exit(kExitCode);
    }).detach();
  } catch (...) {
    // Without it the end only hangs if something blocks.
  }
}

std::string LimitKey(const AlarmCause& cause) {
  return cause.learned != 0 ? "by watchdog.learned_scale"
                            : std::string(WatchdogConfig::LimitKey(cause.phase));
}

// "rank 1 noticed that rank 0 made no progress for 3 s in phase step (watchdog.step_seconds: 3 s)".
std::string Text(const AlarmCause& cause) {
  std::string text = "rank " + std::to_string(cause.raised_by);
  const std::string about = "rank " + std::to_string(cause.about);
  if (cause.kind == AlarmCause::Kind::kDied)
    return text + " noticed that the process of " + about + " is gone";
  if (cause.about != cause.raised_by) text += " noticed that " + about;
  return text + " made no progress for " + Seconds(cause.seconds) + " in phase " +
         std::string(PhaseName(cause.phase)) + " (" + LimitKey(cause) + ": " +
         Seconds(cause.limit) + ")";
}

}  // namespace

HeartbeatPage MakeLocalPage(const std::vector<int>& ranks) {
  struct Lines {
    explicit Lines(size_t num_lines) : lines(num_lines) {}
    AlarmFlag alarm{};
    std::vector<HeartbeatLine> lines;
  };
  auto memory = std::make_shared<Lines>(ranks.size());
  HeartbeatPage page;
  page.alarm = &memory->alarm;
  for (HeartbeatLine& line : memory->lines) page.lines.push_back(&line);
  page.ranks = ranks;
  page.memory = std::move(memory);
  return page;
}

Watchdog::Watchdog(WatchSetup setup)
    : setup_(std::move(setup)),
      line_(*setup_.page.lines[setup_.page.own]),
      plan_(setup_.nodes),
      stall_(setup_.page.ranks, setup_.page.own),
      sights_(setup_.page.lines.size()),
      visible_(setup_.page.lines.size(), Visible::kNotAsked),
      death_noted_(setup_.page.lines.size(), false) {
  const WatchdogConfig usual;
  for (const Phase phase : {Phase::kStartUp, Phase::kClosing}) {
    limits_[static_cast<size_t>(phase)] = usual.Limit(phase);
  }
  PrepareStackTraces();
  line_.Start(::getpid(), ProcessStartTime(::getpid()));
  if (setup_.link != nullptr) {
    courier_ = std::make_unique<Courier>(
        plan_, setup_.rank, std::move(setup_.link),
        [alarm = setup_.page.alarm](const AlarmCause& cause) { alarm->Raise(cause); });
  }
  thread_ = std::thread([this] { Run(); });
}

Watchdog::~Watchdog() { EndThread(); }

void Watchdog::EndThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::Close() {
  line_.EnterPhase(Phase::kEnded, -1);  // what ends now has not died
  EndThread();
  if (courier_ != nullptr) courier_->Close();
}

void Watchdog::SetLimits(const WatchdogConfig& config) {
  for (size_t i = 0; i < kNumPhases; ++i) limits_[i] = config.Limit(static_cast<Phase>(i));
  learned_scale_ = config.enabled ? config.learned_scale : 0;
}

double Watchdog::Limit(Phase phase) const {
  const double limit = limits_[static_cast<size_t>(phase)];
  if (phase != Phase::kInput && phase != Phase::kStep) return limit;
  const double learned = pace_.Limit(learned_scale_);
  if (learned <= 0) return limit;
  return limit > 0 ? std::min(limit, learned) : learned;
}

void Watchdog::EnterPhase(Phase phase, int64_t step) {
  pace_.EnterPhase(phase, Now());
  line_.EnterPhase(phase, step);
}

void Watchdog::Run() {
  ::pthread_setname_np(::pthread_self(), "be-watchdog");
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  last_round_ = Now();
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kInterval, [&] { return stop_; })) {
    lock.unlock();
    line_.Tick();
    const double now = Now();
    if (now - last_round_ > kSilentSeconds) awake_since_ = now;
    last_round_ = now;
    try {
      Look();
      NoteDeaths();
    } catch (const std::bad_alloc&) {
      // This round has seen less. Whoever needs the memory says so with its name and the remedy;
      // an exception here would end the process before that.
    }
    if (setup_.page.alarm->raised()) EndJob(setup_.page.alarm->cause());
    if (auto cause = stall_.Find([&](Phase phase) { return Limit(phase); })) {
      cause->learned = cause->limit != limits_[static_cast<size_t>(cause->phase)] ? 1 : 0;
      setup_.page.alarm->Raise(*cause);
      if (courier_ != nullptr) courier_->Alarm(*cause);
      EndJob(setup_.page.alarm->cause());
    }
    lock.lock();
  }
}

void Watchdog::Look() {
  for (size_t i = 0; i < sights_.size(); ++i) {
    StallWatch::Sight& sight = sights_[i];
    sight.heartbeat = setup_.page.lines[i]->Read();
    if (i == setup_.page.own || sight.heartbeat.pid == 0) continue;
    // A process whose watchdog ticks is there: the kernel is asked once at first, and then about silent ones only.
    const bool silent = stall_.seconds_silent(i) > kSuspiciousSeconds;
    if (visible_[i] != Visible::kNotAsked && !silent) {
      sight.gone = false;
      continue;
    }
    const auto pid = static_cast<pid_t>(sight.heartbeat.pid);
    const bool is_it = ProcessStartTime(pid) == sight.heartbeat.start_time;
    if (visible_[i] == Visible::kNotAsked) visible_[i] = is_it ? Visible::kYes : Visible::kNo;
    const char state = is_it ? ProcessState(pid) : '\0';
    sight.gone = visible_[i] == Visible::kYes && (state == 'Z' || state == 'X' || state == '\0');
  }
  stall_.Look(Now(), sights_);
}

// The launcher ends a job that has lost a process; it does not say what the rank was doing.
void Watchdog::NoteDeaths() {
  for (size_t i = 0; i < sights_.size(); ++i) {
    const Heartbeat& heartbeat = sights_[i].heartbeat;
    if (!sights_[i].gone || death_noted_[i] || heartbeat.phase == Phase::kEnded) continue;
    death_noted_[i] = true;
    if (!Speaks()) continue;
    const int rank = setup_.page.ranks[i];
    LogWarning("watchdog: rank " + std::to_string(rank) + " on " +
               setup_.hosts[static_cast<size_t>(rank)] + " has died without a word (process " +
               std::to_string(heartbeat.pid) + ": killed, crashed, or out of memory) in " +
               DescribePlace(heartbeat));
  }
}

// The lowest rank of this node that runs; with several nodes, of its couriers if one of them runs.
bool Watchdog::Speaks() const {
  const auto runs = [&](size_t line) {
    return line == setup_.page.own ||
           (!sights_[line].gone && stall_.seconds_silent(line) < kSilentSeconds);
  };
  const bool courier_needed = courier_ != nullptr;
  for (const bool couriers_only : {true, false}) {
    if (couriers_only && !courier_needed) continue;
    for (size_t line = 0; line < sights_.size(); ++line) {
      if (couriers_only && !plan_.is_courier(setup_.page.ranks[line])) continue;
      if (runs(line)) return line == setup_.page.own;
    }
  }
  return true;
}

std::vector<RankReport> Watchdog::ReportsOfNode() const {
  std::vector<RankReport> reports;
  for (size_t i = 0; i < sights_.size(); ++i) {
    RankReport report;
    report.rank = setup_.page.ranks[i];
    report.heartbeat = setup_.page.lines[i]->Read();
    report.seconds_without_progress = stall_.seconds_without_progress(i);
    report.seconds_silent = stall_.seconds_silent(i);
    report.life = Life::kRunning;
    if (i != setup_.page.own && report.seconds_silent >= kSilentSeconds) {
      const char state = visible_[i] == Visible::kYes
                             ? ProcessState(static_cast<pid_t>(report.heartbeat.pid))
                             : '\0';
      report.life = state == 'T' || state == 't' ? Life::kStopped : Life::kFrozen;
    }
    if (sights_[i].gone && report.heartbeat.phase != Phase::kEnded) report.life = Life::kDead;
    reports.push_back(report);
  }
  return reports;
}

void Watchdog::Report(const AlarmCause& cause) const {
  const Heartbeat own = line_.Read();
  std::string text = "watchdog: " + Text(cause) + ". This rank, on " +
                     setup_.hosts[static_cast<size_t>(setup_.rank)] + ", is in " +
                     DescribePlace(own) + ", without progress for " +
                     Seconds(stall_.seconds_without_progress(setup_.page.own));
  for (const Plane plane : {Plane::kData, Plane::kControl}) {
    const std::string collective = Describe(plane, own.planes[static_cast<size_t>(plane)]);
    if (!collective.empty()) text += "\n  " + collective;
  }
  const std::string stacks = StacksOfThreads(kStackPatience);
  LogWarning(stacks.empty() ? text : text + "\n" + stacks);
}

void Watchdog::WaitForReports() const {
  const double deadline = Now() + std::chrono::duration<double>(kReportPatience).count();
  for (size_t i = 0; i < sights_.size(); ++i) {
    const bool runs = !sights_[i].gone && stall_.seconds_silent(i) < kSilentSeconds &&
                      sights_[i].heartbeat.phase != Phase::kEnded;
    while (runs && !setup_.page.lines[i]->reported() && Now() < deadline) {
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
}

void Watchdog::EndJob(AlarmCause cause) {
  StartBackstop();
  Report(cause);
  line_.SetReported();
  // A process that was stopped itself, and that the launcher has woken to end it, is the culprit and no judge.
  const bool was_stopped = awake_since_ > 0 && Now() - awake_since_ < kSecondsToEnd;
  if (!was_stopped && Speaks()) {
    WaitForReports();
    const std::vector<RankReport> own = ReportsOfNode();
    std::vector<RankReport> all(setup_.hosts.size());
    for (size_t rank = 0; rank < all.size(); ++rank) all[rank].rank = static_cast<int>(rank);
    if (GatherReports(cause, own, all)) Name(cause, all);
  }
  // Whoever names the culprit ends the job; where that does not come through, the backstop ends this process.
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(60));
}

bool Watchdog::GatherReports(const AlarmCause& cause, const std::vector<RankReport>& own,
                             std::vector<RankReport>& all) {
  const auto put = [&](const std::vector<RankReport>& reports) {
    for (const RankReport& report : reports) all[static_cast<size_t>(report.rank)] = report;
  };
  put(own);
  if (courier_ == nullptr) return true;
  courier_->Publish(cause, own);
  if (!plan_.is_post(setup_.rank)) return false;
  bool is_lowest = true;
  for (const auto& [node, reports] : courier_->Collect(kExchangePatience)) {
    put(reports);
    if (node < plan_.node_of(setup_.rank)) is_lowest = false;
  }
  return is_lowest;
}

void Watchdog::Name(const AlarmCause& cause, const std::vector<RankReport>& reports) const {
  const CulpritVerdict verdict = FindCulprit(reports, setup_.hosts);
  std::string text = "watchdog: " + verdict.text + ". Alarm: " + Text(cause) + ".";
  if (cause.kind == AlarmCause::Kind::kNoProgress) {
    text += " Where nothing hangs and the work is that slow, raise " +
            (cause.learned != 0 ? "watchdog.learned_scale" : LimitKey(cause)) + ".";
  }
  LogError(text);
  setup_.abort_job(kExitCode);
  ::_exit(kExitCode);
}

}  // namespace breakeven
