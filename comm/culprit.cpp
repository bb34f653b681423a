// Pure.
#include "comm/culprit.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

namespace breakeven {
namespace {

std::string Seconds(double seconds) {
  return std::to_string(static_cast<int64_t>(std::lround(seconds))) + " s";
}

std::string Count(uint64_t number, const std::string& word) {
  return std::to_string(number) + " " + word + (number == 1 ? "" : "s");
}

bool IsHere(const RankReport& report) { return report.life != Life::kUnknown; }

class Finder {
 public:
  Finder(std::span<const RankReport> reports, std::span<const std::string> hosts)
      : reports_(reports), hosts_(hosts) {
    for (const RankReport& report : reports_) {
      for (size_t plane = 0; plane < kNumPlanes; ++plane) {
        const uint64_t begun = report.heartbeat.planes[plane].begun;
        front_[plane] = std::max(front_[plane], IsHere(report) ? begun : 0);
      }
    }
  }

  CulpritVerdict Find() const {
    if (auto ranks = Where([](const auto& r) { return r.life == Life::kDead; }); !ranks.empty()) {
      return {ranks, Name(ranks) +
                         (ranks.size() == 1 ? " has died: its process is"
                                            : " have died: their processes are") +
                         " gone" + PlaceOf(ranks)};
    }
    const auto stands = [](const auto& r) {
      return r.life == Life::kStopped || r.life == Life::kFrozen;
    };
    if (auto ranks = Where(stands); !ranks.empty()) return {ranks, Standing(ranks)};
    if (auto ranks = Where([](const auto& r) { return !IsHere(r); }); !ranks.empty()) {
      return {ranks, Name(ranks) + (ranks.size() == 1 ? " does" : " do") +
                         " not answer: the node or the network to it is gone"};
    }
    if (auto verdict = Disagreement()) return *verdict;
    return Behind();
  }

 private:
  std::vector<int> Where(const std::function<bool(const RankReport&)>& is) const {
    std::vector<int> ranks;
    for (const RankReport& report : reports_) {
      if (is(report)) ranks.push_back(report.rank);
    }
    return ranks;
  }

  const RankReport& Of(int rank) const { return reports_[static_cast<size_t>(rank)]; }
  std::string Name(std::span<const int> ranks) const { return ListRanks(ranks, hosts_); }

  // Of one rank, what else is known; of many, nothing.
  std::string PlaceOf(const std::vector<int>& ranks) const {
    if (ranks.size() != 1) return "";
    const Heartbeat& heartbeat = Of(ranks[0]).heartbeat;
    std::string text = "; its last sign was in " + DescribePlace(heartbeat);
    for (const Plane plane : {Plane::kData, Plane::kControl}) {
      const PlaneStatus& status = heartbeat.planes[static_cast<size_t>(plane)];
      if (status.inside()) text += ", inside " + Describe(plane, status);
    }
    return text + Deficit(ranks[0]);
  }

  std::string Standing(const std::vector<int>& ranks) const {
    const RankReport& first = Of(ranks[0]);
    std::string text = Name(ranks);
    const bool one = ranks.size() == 1;
    if (first.life == Life::kStopped) {
      text += one ? " is stopped (SIGSTOP or a debugger)" : " are stopped (SIGSTOP or a debugger)";
    } else {
      text += one ? " is frozen" : " are frozen";
    }
    text += ": process " + std::to_string(first.heartbeat.pid) + " has not run for " +
            Seconds(first.seconds_silent);
    return text + PlaceOf(ranks);
  }

  uint64_t MissingOf(const RankReport& report) const {
    uint64_t missing = 0;
    for (size_t plane = 0; plane < kNumPlanes; ++plane) {
      missing += front_[plane] - std::min(front_[plane], report.heartbeat.planes[plane].begun);
    }
    return missing;
  }

  std::string Deficit(int rank) const {
    const uint64_t missing = MissingOf(Of(rank));
    return missing == 0 ? "" : ", " + Count(missing, "collective") + " behind";
  }

  // Two ranks inside collectives of the same number that are not the same collective.
  std::optional<CulpritVerdict> Disagreement() const {
    for (const Plane plane : {Plane::kData, Plane::kControl}) {
      const auto index = static_cast<size_t>(plane);
      const RankReport* first = nullptr;
      for (const RankReport& report : reports_) {
        const PlaneStatus& status = report.heartbeat.planes[index];
        if (!status.inside() || status.begun != front_[index]) continue;
        if (first == nullptr) first = &report;
        const PlaneStatus& other = first->heartbeat.planes[index];
        // Sizes of texts differ over ranks by right.
        const bool sizes = plane == Plane::kControl || other.num_bytes == status.num_bytes;
        if (other.collective == status.collective && sizes) continue;
        const std::vector<int> one = {first->rank}, two = {report.rank};
        return CulpritVerdict{{first->rank, report.rank},
                              "ranks do not call the same collective: " + Name(one) + " is in " +
                                  Describe(plane, other) + "; " + Name(two) + " is in " +
                                  Describe(plane, status)};
      }
    }
    return std::nullopt;
  }

  CulpritVerdict Behind() const {
    uint64_t most = 0;
    for (const RankReport& report : reports_) most = std::max(most, MissingOf(report));
    auto ranks = Where([&](const auto& r) { return MissingOf(r) == most; });
    const auto waits = [&](int rank) {
      const auto& planes = Of(rank).heartbeat.planes;
      return std::any_of(planes.begin(), planes.end(), [](const auto& p) { return p.inside(); });
    };
    const bool all_wait = std::all_of(ranks.begin(), ranks.end(), waits);
    if (most == 0 && all_wait) return AllWait();
    if (!all_wait) std::erase_if(ranks, waits);
    // Where nobody is behind, only those stand out that have not moved for longest.
    if (most == 0 && ranks.size() == reports_.size()) KeepLongestStill(ranks);
    const RankReport& first = Of(ranks[0]);
    std::erase_if(ranks,
                  [&](int rank) { return Of(rank).heartbeat.phase != first.heartbeat.phase; });
    std::string text = Name(ranks) + (ranks.size() == 1 ? " is" : " are") + " in phase " +
                       std::string(PhaseName(first.heartbeat.phase));
    if (most > 0) text += ", " + Count(most, "collective") + " behind";
    if (!all_wait) {
      text += ", without progress for " + Seconds(first.seconds_without_progress);
    } else {
      text += PlaceInside(first);
    }
    return {ranks, text};
  }

  static std::string PlaceInside(const RankReport& report) {
    for (const Plane plane : {Plane::kData, Plane::kControl}) {
      const PlaneStatus& status = report.heartbeat.planes[static_cast<size_t>(plane)];
      if (status.inside()) return ", inside " + Describe(plane, status);
    }
    return "";
  }

  void KeepLongestStill(std::vector<int>& ranks) const {
    double longest = 0;
    for (int rank : ranks) longest = std::max(longest, Of(rank).seconds_without_progress);
    std::erase_if(ranks, [&](int rank) { return Of(rank).seconds_without_progress < longest - 1; });
  }

  CulpritVerdict AllWait() const {
    const std::string who = reports_.size() == 1 ? "the only rank is"
                                                 : "all " + Count(reports_.size(), "rank") + " are";
    return {{},
            who + " in phase " + std::string(PhaseName(reports_[0].heartbeat.phase)) +
                PlaceInside(reports_[0]) +
                ": no rank is missing, what carries the data stands still"};
  }

  std::span<const RankReport> reports_;
  std::span<const std::string> hosts_;
  std::array<uint64_t, kNumPlanes> front_{};  // the furthest collective of each plane
};

}  // namespace

CulpritVerdict FindCulprit(std::span<const RankReport> reports,
                           std::span<const std::string> hosts) {
  return Finder(reports, hosts).Find();
}

std::string ListRanks(std::span<const int> ranks, std::span<const std::string> hosts) {
  constexpr size_t kMostHosts = 8;
  std::vector<std::string> order;
  std::map<std::string, std::vector<int>> of_host;
  for (const int rank : ranks) {
    const std::string& host = hosts[static_cast<size_t>(rank)];
    if (of_host[host].empty()) order.push_back(host);
    of_host[host].push_back(rank);
  }
  std::string text;
  for (size_t h = 0; h < order.size() && h < kMostHosts; ++h) {
    const std::vector<int>& list = of_host[order[h]];
    text += h > 0 ? "; " : "";
    text += list.size() == 1 ? "rank " : "ranks ";
    for (size_t begin = 0; begin < list.size();) {
      size_t end = begin;
      while (end + 1 < list.size() && list[end + 1] == list[end] + 1) ++end;
      text += (begin > 0 ? ", " : "") + std::to_string(list[begin]);
      if (end > begin) text += (end == begin + 1 ? ", " : "-") + std::to_string(list[end]);
      begin = end + 1;
    }
    text += " on " + order[h];
  }
  if (order.size() > kMostHosts) {
    text += "; and ranks of " + std::to_string(order.size() - kMostHosts) + " more hosts";
  }
  return text;
}

}  // namespace breakeven
