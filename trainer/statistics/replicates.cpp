// Pure.
#include "trainer/statistics/replicates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/statistics/distributions.h"

namespace breakeven {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Mean of the covariances between columns of two sides, a column with itself left out.
double MeanBetween(const std::vector<double>& covariance, size_t num_systems,
                   std::span<const size_t> rows, std::span<const size_t> columns) {
  double sum = 0;
  double count = 0;
  for (size_t row : rows) {
    for (size_t column : columns) {
      if (row == column && rows.size() > 1) continue;
      sum += covariance[row * num_systems + column];
      ++count;
    }
  }
  return count == 0 ? 0 : sum / count;
}

ReplicateSide Summarise(const std::vector<double>& means, std::span<const size_t> columns) {
  ReplicateSide side;
  if (columns.empty()) return side;
  const double count = static_cast<double>(columns.size());
  for (size_t column : columns) side.mean += means[column] / count;
  if (columns.size() < 2) return side;
  side.degrees = count - 1;
  for (size_t column : columns) {
    side.variance += std::pow(means[column] - side.mean, 2) / (side.degrees * count);
  }
  return side;
}

// (t · standard error)² of a side.
double SquaredHalfWidth(const ReplicateSide& side, double confidence) {
  if (side.degrees == 0 || side.variance == 0) return 0;
  return std::pow(CriticalValue(confidence, side.degrees), 2) * side.variance;
}

}  // namespace

RecipeEstimate CompareRecipes(const Units& units, std::span<const size_t> first,
                              std::span<const size_t> second) {
  const std::vector<double> means = Means(units);
  RecipeEstimate estimate;
  estimate.first = Summarise(means, first);
  estimate.second = Summarise(means, second);
  estimate.value = estimate.first.mean - estimate.second.mean;
  std::vector<double> coefficients(units.num_systems);
  for (size_t column : first) coefficients[column] += 1 / static_cast<double>(first.size());
  for (size_t column : second) coefficients[column] -= 1 / static_cast<double>(second.size());
  estimate.documents = EstimateMean(Combine(units, coefficients), SmallSample::kLeverage);
  const std::vector<double> covariance = MeanCovariance(units, SmallSample::kLeverage);
  const auto between = [&](std::span<const size_t> rows, std::span<const size_t> columns) {
    return MeanBetween(covariance, units.num_systems, rows, columns);
  };
  const double common =
      between(first, first) + between(second, second) - 2 * between(first, second);
  estimate.document_variance = std::isnan(common) ? kNaN : std::max(0.0, common);
  return estimate;
}

Interval ReplicateInterval(const RecipeEstimate& estimate, double confidence) {
  if (estimate.first.degrees + estimate.second.degrees == 0) return {kNaN, kNaN};
  return JoinReplicates(estimate, {estimate.value, estimate.value}, confidence);
}

Interval JoinReplicates(const RecipeEstimate& estimate, Interval documents, double confidence) {
  const double squares =
      SquaredHalfWidth(estimate.first, confidence) + SquaredHalfWidth(estimate.second, confidence);
  if (squares == 0) return documents;
  const double below = std::max(0.0, estimate.value - documents.low);
  const double above = std::max(0.0, documents.high - estimate.value);
  return {estimate.value - std::sqrt(below * below + squares),
          estimate.value + std::sqrt(above * above + squares)};
}

VarianceComponents CrossedComponents(std::span<const std::vector<double>> scores) {
  const size_t num_documents = scores.empty() ? 0 : scores.front().size();
  if (scores.size() < 2 || num_documents < 2) return {kNaN, kNaN, kNaN};
  const double r = static_cast<double>(scores.size());
  const double d = static_cast<double>(num_documents);
  std::vector<double> row(scores.size());
  std::vector<double> column(num_documents);
  double grand = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < num_documents; ++j) {
      row[i] += scores[i][j] / d;
      column[j] += scores[i][j] / r;
      grand += scores[i][j] / (r * d);
    }
  }
  double rows = 0;
  double columns = 0;
  double rest = 0;
  for (double mean : row) rows += std::pow(mean - grand, 2);
  for (double mean : column) columns += std::pow(mean - grand, 2);
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < num_documents; ++j) {
      rest += std::pow(scores[i][j] - row[i] - column[j] + grand, 2);
    }
  }
  const double residual = rest / ((r - 1) * (d - 1));
  return {std::max(0.0, (d * rows / (r - 1) - residual) / d),
          std::max(0.0, (r * columns / (d - 1) - residual) / r), residual};
}

}  // namespace breakeven
