// Pure.
#include "trainer/statistics/nonnegative.h"

#include <algorithm>
#include <cmath>

namespace breakeven {
namespace {

constexpr double kDependent = 1e-9;  // what is left of a unit column behind the others: none
constexpr double kFlat = 1e-10;      // a gradient, of unit columns against a unit b

class Solver {
 public:
  Solver(std::span<const std::vector<double>> rows, std::span<const double> b)
      : num_columns_(rows.front().size()), b_(b.begin(), b.end()), columns_(num_columns_) {
    for (size_t j = 0; j < num_columns_; ++j) {
      double squares = 0;
      for (const std::vector<double>& row : rows) squares += row[j] * row[j];
      lengths_.push_back(std::sqrt(squares));
      for (const std::vector<double>& row : rows)
        columns_[j].push_back(squares > 0 ? row[j] / lengths_[j] : 0);
    }
  }

  std::vector<double> Solve() {
    std::vector<bool> free(num_columns_, false), refused(num_columns_, false);
    std::vector<double> x(num_columns_, 0);
    for (size_t round = 0; round < 10 * num_columns_ + 10; ++round) {
      const size_t entering = Steepest(x, free, refused);
      if (entering == num_columns_) break;
      free[entering] = true;
      std::vector<double> next;
      if (!SolveFree(free, next) || next[entering] <= 0) {
        free[entering] = false;
        refused[entering] = true;
        continue;
      }
      StepTo(next, free, x);
      std::fill(refused.begin(), refused.end(), false);
    }
    for (size_t j = 0; j < num_columns_; ++j) x[j] = lengths_[j] > 0 ? x[j] / lengths_[j] : 0;
    return x;
  }

 private:
  static double Dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  }

  // The column along which the residual falls fastest; num_columns_: none does.
  size_t Steepest(const std::vector<double>& x, const std::vector<bool>& free,
                  const std::vector<bool>& refused) const {
    std::vector<double> residual = b_;
    for (size_t j = 0; j < num_columns_; ++j) {
      for (size_t i = 0; i < residual.size(); ++i) residual[i] -= columns_[j][i] * x[j];
    }
    size_t best = num_columns_;
    double steepest = kFlat * std::sqrt(Dot(b_, b_));
    for (size_t j = 0; j < num_columns_; ++j) {
      const double slope = Dot(columns_[j], residual);
      if (free[j] || refused[j] || slope <= steepest) continue;
      steepest = slope;
      best = j;
    }
    return best;
  }

  // Least squares over the free columns by modified Gram-Schmidt; false: they depend on each other.
  bool SolveFree(const std::vector<bool>& free, std::vector<double>& x) const {
    std::vector<size_t> used;
    std::vector<std::vector<double>> basis, triangle;
    std::vector<double> residual = b_, along;
    for (size_t j = 0; j < num_columns_; ++j) {
      if (!free[j]) continue;
      std::vector<double> v = columns_[j], r;
      for (const std::vector<double>& q : basis) {
        r.push_back(Dot(q, v));
        for (size_t i = 0; i < v.size(); ++i) v[i] -= r.back() * q[i];
      }
      const double length = std::sqrt(Dot(v, v));
      if (length < kDependent) return false;
      for (double& value : v) value /= length;
      r.push_back(length);
      along.push_back(Dot(v, residual));
      for (size_t i = 0; i < v.size(); ++i) residual[i] -= along.back() * v[i];
      used.push_back(j);
      basis.push_back(std::move(v));
      triangle.push_back(std::move(r));
    }
    x.assign(num_columns_, 0);
    for (size_t k = used.size(); k-- > 0;) {
      double value = along[k];
      for (size_t l = k + 1; l < used.size(); ++l) value -= triangle[l][k] * x[used[l]];
      x[used[k]] = value / triangle[k][k];
    }
    return true;
  }

  // From x towards `next` as far as nothing turns negative; what reaches 0 is bound again.
  void StepTo(std::vector<double> next, std::vector<bool>& free, std::vector<double>& x) const {
    while (true) {
      double reach = 1;
      for (size_t j = 0; j < num_columns_; ++j) {
        if (free[j] && next[j] <= 0) reach = std::min(reach, x[j] / (x[j] - next[j]));
      }
      for (size_t j = 0; j < num_columns_; ++j) {
        if (!free[j]) continue;
        const bool bound = next[j] <= 0;
        x[j] += reach * (next[j] - x[j]);
        if (bound && x[j] <= 1e-14) {
          x[j] = 0;
          free[j] = false;
        }
      }
      if (reach == 1 || !SolveFree(free, next)) return;
    }
  }

  size_t num_columns_;
  std::vector<double> b_;
  std::vector<std::vector<double>> columns_;
  std::vector<double> lengths_;
};

}  // namespace

std::vector<double> NonNegativeLeastSquares(std::span<const std::vector<double>> rows,
                                            std::span<const double> b) {
  if (rows.empty()) return {};
  return Solver(rows, b).Solve();
}

}  // namespace breakeven
