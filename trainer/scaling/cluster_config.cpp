// Pure.
#include "trainer/scaling/cluster_config.h"

#include <algorithm>

#include "comm/base/error.h"
#include "comm/base/suggest.h"

namespace breakeven {

void LinkConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"latency_seconds", "of one message", AtLeast(0)}, latency_seconds);
  v.Visit({"bytes_per_second", "one way, of one rank; 0 = not stated", AtLeast(0)},
          bytes_per_second);
}

void ClusterConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"title", "how it is called", {}, false}, title);
  v.Visit({"source", "where its constants come from; shown with every forecast", {}, false},
          source);
  v.Visit({"ranks_per_node", "devices of a node", AtLeast(1)}, ranks_per_node);
  v.Visit({"peak_flops_per_second",
           "dense matrix products of one device, in the precision that is used; 0 = only workloads "
           "whose computing was measured here",
           AtLeast(0)},
          peak_flops_per_second);
  v.Visit({"mfu_low", "least share of the peak that computing alone reaches", Between(0.001, 1)},
          mfu_low);
  v.Visit({"mfu_high", "largest", Between(0.001, 1)}, mfu_high);
  v.Visit({"memory_bytes", "of one device; 0 = any setting fits", AtLeast(0)}, memory_bytes);
  v.Visit({"memory_bytes_per_second", "of one device, for the update; 0 = it takes no time",
           AtLeast(0)},
          memory_bytes_per_second);
  v.Visit({"launch_seconds", "of a collective, whatever its size", AtLeast(0)}, launch_seconds);
  v.Visit({"in_node", "between the devices of a node"}, in_node);
  v.Visit({"between_nodes", "a device's share of its node's network"}, between_nodes);
  v.Visit({"measured_exchange",
           "BACKEND on NETWORK: in place of the links and of launch_seconds stand the alpha, beta "
           "and, of CPU ranks, g that this sweep measured there; empty = as stated"},
          measured_exchange);
  v.Visit({"latency_spread", "how uncertain latencies are: drawn within ± this share",
           Between(0, 0.99)},
          latency_spread);
  v.Visit({"bandwidth_spread", "how uncertain bandwidths are, likewise", Between(0, 0.99)},
          bandwidth_spread);
  v.Visit({"interference_low",
           "seconds that computing loses for each second of a collective beside it, least",
           Between(0, 1)},
          interference_low);
  v.Visit({"interference_high", "most", Between(0, 1)}, interference_high);
  v.Visit({"pace_spread_low", "standard deviation of ranks' compute time, relative, least",
           Between(0, 1)},
          pace_spread_low);
  v.Visit({"pace_spread_high", "most", Between(0, 1)}, pace_spread_high);
  v.Visit({"pipelined", "a collective's pieces stream through node and network at once (NCCL)"},
          pipelined);
  v.Visit({"overlapped", "collectives run beside backward"}, overlapped);
  v.Visit({"price_per_device_hour", "of one device; 0 = no price", AtLeast(0)},
          price_per_device_hour);
}

void ClusterConfig::Validate() const {
  const auto check = [](const char* name, double low, double high) {
    if (low <= high) return;
    throw Error(ErrorKind::kUsage, std::string(name) + "_low: " + std::to_string(low) +
                                       " is above " + name + "_high: " + std::to_string(high));
  };
  check("mfu", mfu_low, mfu_high);
  check("interference", interference_low, interference_high);
  check("pace_spread", pace_spread_low, pace_spread_high);
  for (const auto& [link, name] :
       {std::pair(&in_node, "in_node"), std::pair(&between_nodes, "between_nodes")}) {
    const bool needed = link == &between_nodes || ranks_per_node > 1;
    if (!needed || link->bytes_per_second > 0 || !measured_exchange.empty()) continue;
    throw Error(ErrorKind::kUsage, std::string(name) +
                                       ".bytes_per_second: not stated. State it, or give "
                                       "measured_exchange, \"mpi on node\" say");
  }
}

void WorkloadConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"model", "a config.json", Required(), false}, model);
  v.Visit({"measured_model",
           "a name of `models`: computing takes what was measured here; empty = the cluster's peak "
           "and MFU"},
          measured_model);
  v.Visit({"sequence_tokens", "of an example", AtLeast(1)}, sequence_tokens);
  v.Visit({"tokens_per_rank", "of a micro-batch on each rank", AtLeast(1)}, tokens_per_rank);
  v.Visit(
      {"strong_tokens", "of a step over all ranks, where the global batch is fixed", AtLeast(1)},
      strong_tokens);
  v.Visit({"max_step_tokens", "most that accumulation may make a step, over all ranks", AtLeast(1)},
          max_step_tokens);
  v.Visit({"gradient_bytes", "sent for a parameter and step", Above(0)}, gradient_bytes);
  v.Visit({"table_first", "a tied token table is reduced before backward, as on CPU ranks"},
          table_first);
}

void PublishedConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"cluster", "a name of `clusters`", Required()}, cluster);
  v.Visit({"workload", "a name of `workloads`", Required()}, workload);
  v.Visit({"world_size", "ranks", AtLeast(1)}, world_size);
  v.Visit({"tokens_per_second_per_rank", "0 = not published", AtLeast(0)},
          tokens_per_second_per_rank);
  v.Visit({"relative_to", "ranks that `efficiency` is against; 0 = none published", AtLeast(0)},
          relative_to);
  v.Visit({"efficiency", "a rank's speed relative to `relative_to` ranks", AtLeast(0)}, efficiency);
  v.Visit({"source", "who measured it", Required(), false}, source);
}

void ForecastConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"clusters", "by name; each may be a file: configs/clusters/*.yaml"}, clusters);
  v.Visit({"workloads", "what is trained on them, by name"}, workloads);
  v.Visit({"published", "what others have measured, shown beside"}, published);
  v.Visit({"world_sizes", "ranks to forecast", AtLeast(1)}, world_sizes);
  v.Visit({"paying_efficiency", "ranks pay while each is at least this fast of one alone",
           Between(0, 1)},
          paying_efficiency);
  v.Visit({"paying_speed_up",
           "with a fixed global batch, twice the ranks pay while steps get this much faster",
           Between(1, 2)},
          paying_speed_up);
  v.Visit({"draws", "of the uncertain constants, for intervals", AtLeast(20)}, draws);
  v.Visit({"bucket_bytes", "tried for the best settings", AtLeast(4096)}, bucket_bytes);
  v.Visit({"accumulation", "micro-batches of a step, tried for the best settings", AtLeast(1)},
          accumulation);
}

void ForecastConfig::Validate() const {
  std::vector<std::string> names, works;
  for (const auto& [name, cluster] : clusters) {
    names.push_back(name);
    try {
      cluster.Validate();
    } catch (const Error& error) {
      throw Error(ErrorKind::kUsage, "forecast.clusters." + name + "." + error.what());
    }
  }
  for (const auto& [name, workload] : workloads) works.push_back(name);
  const auto known = [](const std::string& key, const std::string& name,
                        const std::vector<std::string>& all) {
    if (std::find(all.begin(), all.end(), name) != all.end()) return;
    throw Error(ErrorKind::kUsage,
                key + ": \"" + name + "\" is no name of this config" + DidYouMean(name, all));
  };
  for (const PublishedConfig& point : published) {
    known("forecast.published.cluster", point.cluster, names);
    known("forecast.published.workload", point.workload, works);
  }
  for (const auto& [name, workload] : workloads) {
    if (workload.measured_model.empty()) {
      for (const auto& [cluster_name, cluster] : clusters) {
        if (cluster.peak_flops_per_second > 0) continue;
        throw Error(ErrorKind::kUsage, "forecast.clusters." + cluster_name +
                                           ".peak_flops_per_second: 0, but workload \"" + name +
                                           "\" has no measured_model. Give one of the two");
      }
    }
  }
}

}  // namespace breakeven
