// Pure.
#include "comm/all_reduce_bench.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "comm/base/error.h"
#include "comm/device_cuda.h"
#include "comm/reduce.h"

namespace breakeven {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat64,
                             DType::kInt32,   DType::kInt64,    DType::kUInt8};

constexpr int64_t kFewestRepeats = 5;
constexpr double kShortestSample = 2e-4;  // seconds: far above what reading the clock costs
constexpr int64_t kMostCalls = 1000;      // in one sample
constexpr int64_t kPattern = 1021;        // elements: a prime, so that no piece size is a multiple
constexpr int64_t kPieceBytes = 1 << 20;  // to and from a device at once

ReduceOp ParseOp(const std::string& name) {
  return name == "sum" ? ReduceOp::kSum : name == "max" ? ReduceOp::kMax : ReduceOp::kMin;
}

// Small whole numbers: every order of summation gives the same.
template <typename T>
std::vector<char> Pattern(int rank, const auto& store) {
  std::vector<char> bytes(kPattern * sizeof(T));
  for (int64_t i = 0; i < kPattern; ++i) {
    const T value = store(static_cast<int>((i * 7 + rank * 5) % 8));
    std::memcpy(bytes.data() + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
  }
  return bytes;
}

std::vector<char> PatternOf(DType dtype, int rank) {
  switch (dtype) {
    case DType::kFloat32:
      return Pattern<float>(rank, [](int v) { return static_cast<float>(v); });
    case DType::kBFloat16:
      return Pattern<uint16_t>(rank, [](int v) {
        const float value = static_cast<float>(v);
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        return static_cast<uint16_t>(bits >> 16);  // exact: no more than three bits are set
      });
    case DType::kFloat64:
      return Pattern<double>(rank, [](int v) { return static_cast<double>(v); });
    case DType::kInt32:
      return Pattern<int32_t>(rank, [](int v) { return v; });
    case DType::kInt64:
      return Pattern<int64_t>(rank, [](int v) { return int64_t{v}; });
    case DType::kUInt8:
      return Pattern<uint8_t>(rank, [](int v) { return static_cast<uint8_t>(v); });
  }
  return {};
}

// A piece or a little more of it: whole periods.
std::vector<char> Repeated(const std::vector<char>& pattern) {
  std::vector<char> often;
  while (std::ssize(often) < kPieceBytes) often.insert(often.end(), pattern.begin(), pattern.end());
  return often;
}

class Measurement {
 public:
  Measurement(Control& control, const AllReduceBenchConfig& config, DType dtype, int64_t count)
      : control_(control), config_(config), dtype_(dtype), op_(ParseOp(config.op)), count_(count) {}

  // COLLECTIVE. Every element of every rank.
  bool IsCorrect(AllReduceSubject& subject) {
    const std::vector<char> mine = PatternOf(dtype_, control_.rank());
    std::vector<std::vector<char>> all;
    std::vector<const void*> inputs;
    for (int r = 0; r < control_.world_size(); ++r) all.push_back(PatternOf(dtype_, r));
    for (const std::vector<char>& pattern : all) inputs.push_back(pattern.data());
    std::vector<char> expected(mine.size());
    ReduceInOrder(dtype_, op_, inputs, expected.data(), kPattern);

    const int64_t total = count_ * SizeOf(dtype_);
    const Device device = subject.device();
    char* input = static_cast<char*>(subject.input());
    const std::vector<char> mine_often = Repeated(mine);
    const std::vector<char> expected_often = Repeated(expected);
    const auto each_piece = [&](const auto& visit) {
      const auto piece = static_cast<int64_t>(mine_often.size());
      for (int64_t begin = 0; begin < total; begin += piece) {
        visit(begin, std::min(piece, total - begin));
      }
    };
    each_piece([&](int64_t begin, int64_t size) {
      WriteTo(device, input + begin, mine_often.data(), size);
    });
    subject.Run(dtype_, count_, op_);
    subject.Finish();
    const char* result = static_cast<const char*>(subject.result());
    std::vector<char> seen(mine_often.size());
    int64_t correct = 1;
    each_piece([&](int64_t begin, int64_t size) {
      ReadFrom(device, seen.data(), result + begin, size);
      if (std::memcmp(seen.data(), expected_often.data(), static_cast<size_t>(size)) != 0) {
        correct = 0;
      }
    });
    WriteZeros(subject);  // sums of what is timed stay finite
    return control_.AllReduce(correct, ReduceOp::kMin) == 1;
  }

  // COLLECTIVE. Warms up and decides how a sample is taken: the same on all ranks.
  void Plan(AllReduceSubject& subject) {
    const double estimate = Slowest(Sample(subject, 1));
    calls_.push_back(config_.rewrite
                         ? 1
                         : std::clamp(static_cast<int64_t>(std::ceil(kShortestSample / estimate)),
                                      int64_t{1}, kMostCalls));
    for (int64_t i = 1; i < config_.warmups; ++i) Sample(subject, calls_.back());
    const double sample =
        Slowest(Sample(subject, calls_.back())) * static_cast<double>(calls_.back());
    const double affordable = std::min(config_.seconds / sample, 1e9);
    const int64_t repeats = std::clamp(static_cast<int64_t>(affordable),
                                       std::min(kFewestRepeats, config_.repeats), config_.repeats);
    repeats_ = repeats_ == 0 ? repeats : std::min(repeats_, repeats);
    samples_.emplace_back();
  }

  // COLLECTIVE.
  void Run(std::span<const std::unique_ptr<AllReduceSubject>> subjects) {
    for (int64_t i = 0; i < repeats_; ++i) {
      for (size_t k = 0; k < subjects.size(); ++k) {
        const size_t s = i % 2 == 0 ? k : subjects.size() - 1 - k;
        samples_[s].push_back(Sample(*subjects[s], calls_[s]));
      }
    }
  }

  // COLLECTIVE. Of subject `s`.
  AllReduceFigure Figure(size_t s) {
    AllReduceFigure figure;
    figure.dtype = DTypeName(dtype_);
    figure.bytes = count_ * SizeOf(dtype_);
    control_.AllReduce(std::span<double>(samples_[s]), ReduceOp::kMax);
    figure.seconds = SummariseSeconds(samples_[s], 1 + config_.warmups);
    figure.calls_per_sample = calls_[s];
    figure.algbw = static_cast<double>(figure.bytes) / figure.seconds.median / 1e9;
    const double n = control_.world_size();
    figure.busbw = figure.algbw * 2 * (n - 1) / n;
    return figure;
  }

 private:
  void WriteZeros(AllReduceSubject& subject) {
    const int64_t total = count_ * SizeOf(dtype_);
    const Device device = subject.device();
    char* input = static_cast<char*>(subject.input());
    if (!device.is_cuda()) {
      std::memset(input, 0, static_cast<size_t>(total));
      return;
    }
    const std::vector<char> zeros(static_cast<size_t>(std::min(total, kPieceBytes)));
    for (int64_t begin = 0; begin < total; begin += kPieceBytes) {
      WriteTo(device, input + begin, zeros.data(), std::min(kPieceBytes, total - begin));
    }
  }
  // Seconds of one call on this rank.
  double Sample(AllReduceSubject& subject, int64_t calls) {
    if (config_.rewrite) WriteZeros(subject);
    subject.Barrier();
    const Stopwatch watch;
    for (int64_t i = 0; i < calls; ++i) subject.Run(dtype_, count_, op_);
    subject.Finish();
    return watch.Seconds() / static_cast<double>(calls);
  }
  double Slowest(double seconds) {
    control_.AllReduce(std::span<double>(&seconds, 1), ReduceOp::kMax);
    return std::max(seconds, 1e-9);
  }

  Control& control_;
  const AllReduceBenchConfig& config_;
  DType dtype_;
  ReduceOp op_;
  int64_t count_;
  int64_t repeats_ = 0;
  std::vector<int64_t> calls_;
  std::vector<std::vector<double>> samples_;
};

void AddFits(AllReduceReport& report, const AllReduceBenchConfig& config, size_t num_subjects) {
  for (const std::string& dtype : config.dtypes) {
    for (size_t s = 0; s < num_subjects; ++s) {
      std::vector<int64_t> bytes;
      std::vector<double> seconds;
      const std::string& backend = report.figures[s].backend;
      for (const AllReduceFigure& figure : report.figures) {
        if (figure.backend != backend || figure.dtype != dtype) continue;
        bytes.push_back(figure.bytes);
        seconds.push_back(figure.seconds.median);
      }
      if (bytes.size() < 3) continue;
      AllReduceFit fit = FitAllReduce(bytes, seconds);
      fit.backend = backend;
      fit.dtype = dtype;
      report.fits.push_back(fit);
    }
  }
}

}  // namespace

DType ParseDType(std::string_view name) {
  for (const DType dtype : kDTypes) {
    if (DTypeName(dtype) == name) return dtype;
  }
  BE_CHECK(false, "dtype " + std::string(name));
}

AllReduceFit FitAllReduce(std::span<const int64_t> bytes, std::span<const double> seconds) {
  // Least squares of (a + b x - y) / y: weights 1 / y².
  double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const double x = static_cast<double>(bytes[i]);
    const double weight = 1 / (seconds[i] * seconds[i]);
    w += weight;
    wx += weight * x;
    wy += weight * seconds[i];
    wxx += weight * x * x;
    wxy += weight * x * seconds[i];
  }
  const double determinant = w * wxx - wx * wx;
  double slope = (w * wxy - wx * wy) / determinant;
  double latency = (wy - slope * wx) / w;
  if (latency < 0) {  // no machine answers before it is asked
    latency = 0;
    slope = wxy / wxx;
  }
  double residual = 0, spread = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const double weight = 1 / (seconds[i] * seconds[i]);
    const double error = latency + slope * static_cast<double>(bytes[i]) - seconds[i];
    const double deviation = seconds[i] - wy / w;
    residual += weight * error * error;
    spread += weight * deviation * deviation;
  }
  AllReduceFit fit;
  fit.latency_seconds = latency;
  fit.bytes_per_second = 1 / slope;
  fit.r_squared = spread > 0 ? 1 - residual / spread : 1;
  fit.num_sizes = static_cast<int64_t>(bytes.size());
  return fit;
}

AllReduceReport MeasureAllReduce(Control& control,
                                 std::span<const std::unique_ptr<AllReduceSubject>> subjects,
                                 const AllReduceBenchConfig& config) {
  AllReduceReport report;
  for (const std::string& dtype_name : config.dtypes) {
    const DType dtype = ParseDType(dtype_name);
    for (const int64_t bytes : config.Sizes()) {
      const int64_t count = std::max<int64_t>(1, bytes / SizeOf(dtype));
      Measurement measurement(control, config, dtype, count);
      std::vector<char> correct;
      for (const auto& subject : subjects) {
        subject->Reserve(count * SizeOf(dtype));
        correct.push_back(measurement.IsCorrect(*subject));
        measurement.Plan(*subject);
      }
      measurement.Run(subjects);
      for (size_t s = 0; s < subjects.size(); ++s) {
        report.figures.push_back(measurement.Figure(s));
        report.figures.back().backend = subjects[s]->name();
        report.figures.back().correct = correct[s] != 0;
        subjects[s]->Reserve(0);
      }
    }
  }
  AddFits(report, config, subjects.size());
  return report;
}

}  // namespace breakeven
