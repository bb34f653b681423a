// Pure.
#include "trainer/scaling/fabric_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/statistics/nonnegative.h"

namespace breakeven {
namespace {

constexpr double kDependent = 1e-6;  // what is left of a column of length 1 that others give

// How many of the columns [begin, end) of `rows` others do not give already.
int Rank(const std::vector<std::vector<double>>& rows, size_t begin, size_t end) {
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  const auto scale = [&](std::vector<double>& a) {
    const double length = std::sqrt(dot(a, a));
    for (double& value : a) value /= length > 0 ? length : 1;
    return length;
  };
  std::vector<std::vector<double>> basis;
  for (size_t column = begin; column < end; ++column) {
    std::vector<double> rest;
    for (const std::vector<double>& row : rows) rest.push_back(row[column]);
    if (scale(rest) == 0) continue;
    for (const std::vector<double>& other : basis) {
      const double along = dot(rest, other);
      for (size_t i = 0; i < rest.size(); ++i) rest[i] -= along * other[i];
    }
    if (scale(rest) > kDependent) basis.push_back(std::move(rest));
  }
  return static_cast<int>(basis.size());
}

// Seconds can be moved from one link to the other where what their columns give is in part the same.
bool ToldApart(const std::vector<std::vector<double>>& rows) {
  return Rank(rows, 0, 4) == Rank(rows, 0, 2) + Rank(rows, 2, 4);
}

}  // namespace

double Turns(const Topology& topology, double cores) {
  return std::max(1.0, static_cast<double>(topology.ranks_on_node()) / cores);
}

bool ExchangeLaw::Knows(const Topology& topology) const {
  if (links_told_apart) return HasLinks(fabric, topology);
  return measured.count({topology.ranks_on_node(), topology.num_nodes()}) > 0;
}

bool ExchangeLaw::KnowsALink() const {
  return TellsLinks() &&
         (fabric.in_node.seconds_per_byte > 0 || fabric.between_nodes.seconds_per_byte > 0);
}

void FitFabric(std::span<const FitCollective> points, const std::string& name, ExchangeLaw& law) {
  double best = std::numeric_limits<double>::infinity();
  for (const NetworkAlgorithm algorithm :
       {NetworkAlgorithm::kHalvingDoubling, NetworkAlgorithm::kRing}) {
    std::vector<std::vector<double>> rows;
    for (const FitCollective& point : points) {
      if (point.exchange != name) continue;
      law.fabric.shared_memory = point.shared_memory;
      law.measured.emplace(point.topology.ranks_on_node(), point.topology.num_nodes());
      const CollectiveTerms terms =
          TermsOf(point.shared_memory, point.topology, point.bytes, algorithm);
      const double wire = 1 / point.seconds;
      const double node = wire * Turns(point.topology, point.cores);
      rows.push_back({node * terms.node_latencies, node * terms.node_bytes,
                      wire * terms.network_latencies, wire * terms.network_bytes});
    }
    law.num_points = std::ssize(rows);
    if (rows.empty()) return;
    const std::vector<double> x =
        NonNegativeLeastSquares(rows, std::vector<double>(rows.size(), 1.0));
    double squares = 0;
    for (const std::vector<double>& row : rows) {
      const double error = row[0] * x[0] + row[1] * x[1] + row[2] * x[2] + row[3] * x[3] - 1;
      squares += error * error;
    }
    if (squares >= best) continue;
    best = squares;
    law.links_told_apart = ToldApart(rows);
    law.fabric.in_node = {x[0], x[1]};
    law.fabric.between_nodes = {x[2], x[3]};
  }
}

}  // namespace breakeven
