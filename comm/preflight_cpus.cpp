// Pure. Whether the threads of a host's ranks fit its CPUs.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <string_view>
#include <vector>

#include "comm/base/cpu_mask.h"
#include "comm/culprit.h"
#include "comm/preflight.h"

namespace breakeven {
namespace {

std::set<int> ParseCpus(std::string_view list) {
  std::set<int> cpus;
  const char* at = list.data();
  const char* end = at + list.size();
  while (at < end) {
    int first = 0;
    int last = 0;
    const auto begin = std::from_chars(at, end, first);
    if (begin.ec != std::errc()) break;
    last = first;
    at = begin.ptr;
    if (at < end && *at == '-') at = std::from_chars(at + 1, end, last).ptr;
    for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
    if (at < end) ++at;  // the comma
  }
  return cpus;
}

std::string ListCpus(const std::set<int>& cpus) {
  std::string text;
  for (auto at = cpus.begin(); at != cpus.end();) {
    const int first = *at;
    int last = first;
    while (++at != cpus.end() && *at == last + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(first);
    if (last > first) text += '-' + std::to_string(last);
  }
  return text;
}

std::string Count(int64_t number, const std::string& word) {
  return std::to_string(number) + " " + word + (number == 1 ? "" : "s");
}

// The ranks of one host.
class HostUse {
 public:
  HostUse(std::span<const CpuUse> all, std::vector<int> ranks)
      : all_(all), ranks_(std::move(ranks)) {
    for (const int rank : ranks_) masks_.push_back(ParseCpus(Of(rank).cpus));
    for (size_t i = 0; i < ranks_.size(); ++i) {
      for (const int cpu : masks_[i]) {
        demand_[cpu] +=
            static_cast<double>(Of(ranks_[i]).threads) / static_cast<double>(masks_[i].size());
      }
    }
  }

  // "" where every CPU has at most one thread to run.
  std::string TooManyThreads() const {
    std::vector<int> crowded;
    std::set<int> cpus;
    int64_t threads = 0;
    bool alone = false;  // a rank has more threads than CPUs by itself
    for (size_t i = 0; i < ranks_.size(); ++i) {
      const auto full = [&](int cpu) { return demand_.at(cpu) > 1 + 1e-6; };
      if (std::none_of(masks_[i].begin(), masks_[i].end(), full)) continue;
      const CpuUse& use = Of(ranks_[i]);
      crowded.push_back(ranks_[i]);
      cpus.insert(masks_[i].begin(), masks_[i].end());
      threads += use.threads;
      alone = alone || use.threads > std::ssize(masks_[i]);
    }
    if (crowded.empty()) return "";
    std::string text = Name(crowded) + (crowded.size() == 1 ? " starts " : " start ") +
                       Count(threads, "thread") + " on " + Count(std::ssize(cpus), "CPU") + " (" +
                       ListCpus(cpus) + "): they take turns. ";
    if (alone && std::ssize(cpus) < Of(ranks_[0]).launcher_cpus) {
      return text + "mpirun bound them: start with --bind-to none, or --map-by slot:PE=" +
             std::to_string(Of(crowded[0]).threads) + ", or set threads: 0.";
    }
    return text + "Start fewer ranks, or set a smaller `threads` (0: as many as there are CPUs).";
  }

  // "" where the launcher left them all it has, or they could not use more.
  std::string IdleCpus() const {
    std::set<int> cpus;
    int64_t threads = 0;
    int64_t of_launcher = 0;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      cpus.insert(masks_[i].begin(), masks_[i].end());
      threads += Of(ranks_[i]).threads;
      of_launcher = std::max(of_launcher, Of(ranks_[i]).launcher_cpus);
    }
    if (std::ssize(cpus) >= of_launcher || threads >= of_launcher) return "";
    return Name(ranks_) + (ranks_.size() == 1 ? " is" : " are") + " bound to " +
           std::to_string(cpus.size()) + " of " + Count(of_launcher, "CPU") + " (" +
           ListCpus(cpus) +
           ") by mpirun, the others stay idle. Start with --bind-to none (and threads: 0) to use "
           "them.";
  }

 private:
  const CpuUse& Of(int rank) const { return all_[static_cast<size_t>(rank)]; }
  std::string Name(const std::vector<int>& ranks) const {
    std::vector<std::string> hosts;
    for (const CpuUse& use : all_) hosts.push_back(use.host);
    return ListRanks(ranks, hosts);
  }

  std::span<const CpuUse> all_;
  std::vector<int> ranks_;
  std::vector<std::set<int>> masks_;  // by place in ranks_
  std::map<int, double> demand_;      // threads for each CPU
};

}  // namespace

std::vector<std::string> FindCpuTraps(std::span<const CpuUse> ranks) {
  std::map<std::string, std::vector<int>> of_host;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    of_host[ranks[rank].host].push_back(static_cast<int>(rank));
  }
  std::vector<std::string> traps;
  for (const auto& [host, list] : of_host) {
    const HostUse use(ranks, list);
    for (const std::string& trap : {use.TooManyThreads(), use.IdleCpus()}) {
      if (!trap.empty()) traps.push_back(trap);
    }
  }
  return traps;
}

int64_t LauncherCpus() {
  constexpr std::string_view kLaunchers[] = {"mpirun",  "mpiexec", "orterun",        "orted",
                                             "prterun", "prted",   "hydra_pmi_proxy"};
  std::ifstream file("/proc/" + std::to_string(::getppid()) + "/comm");
  std::string name;
  std::getline(file, name);
  if (std::find(std::begin(kLaunchers), std::end(kLaunchers), name) == std::end(kLaunchers)) {
    return 0;
  }
  const std::vector<bool> cpus = AllowedCpus(::getppid());
  return std::count(cpus.begin(), cpus.end(), true);
}

std::vector<std::string> FindCpuTraps(Control& control, int64_t threads) {
  const ProcessPlace place = DescribeProcess();
  const auto hosts = control.AllGather(place.host);
  const auto cpus = control.AllGather(place.cpus);
  const auto counts = control.AllGather(std::to_string(threads));
  const auto launchers = control.AllGather(std::to_string(LauncherCpus()));
  std::vector<CpuUse> ranks;
  for (size_t r = 0; r < hosts.size(); ++r) {
    ranks.push_back({hosts[r], cpus[r], std::stoll(counts[r]), std::stoll(launchers[r])});
  }
  return FindCpuTraps(ranks);
}

}  // namespace breakeven
