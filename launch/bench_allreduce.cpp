// breakeven bench allreduce: all-reduce times by size, back ends side by side.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "comm/all_reduce_bench.h"
#include "comm/data_plane.h"
#include "comm/device_cuda.h"
#include "launch/bench.h"
#include "launch/print_text.h"

namespace breakeven {
namespace {

using Subjects = std::vector<std::unique_ptr<AllReduceSubject>>;

std::unique_ptr<AllReduceSubject> MakeSubject(Control& control, const AllReduceBenchConfig& config,
                                              const std::string& name) {
  if (name.starts_with("mpi_allreduce"))
    return MakeMpiAllReduceSubject(/*in_place=*/name == "mpi_allreduce");
  const bool allocated = config.memory == "allocated";
  if (name == "nccl" || name == "auto") {
    DeviceOptions options = config.device.Options();
    if (name == "nccl") options.choice = DeviceChoice::kCuda;
    const Device device = BindDevice(control, options);
    if (device.is_cuda()) return MakeCommunicatorSubject(MakeNcclPlane(control, device), allocated);
  }
  CommConfig comm;
  comm.backend = name;
  return MakeCommunicatorSubject(MakeDataPlane(control, comm), allocated);
}

// Of each name one: `auto` and what falls back may be another's.
Subjects MakeSubjects(Control& control, const AllReduceBenchConfig& config) {
  Subjects subjects;
  for (const std::string& name : config.backends) {
    auto subject = MakeSubject(control, config, name);
    const bool known = std::any_of(subjects.begin(), subjects.end(), [&](const auto& other) {
      return other->name() == subject->name();
    });
    if (known) {
      subject->Close();
    } else {
      subjects.push_back(std::move(subject));
    }
  }
  return subjects;
}

// "" where no GPU takes part.
std::string GpuName(const AllReduceReport& report) {
  for (const AllReduceFigure& figure : report.figures) {
    if (!figure.backend.starts_with("nccl")) continue;
    const CudaDevices visible = VisibleCudaDevices();
    return visible.devices.empty() ? "" : visible.devices.front().name;
  }
  return "";
}

std::string ReportJson(const AllReduceReport& report, const World& world) {
  nlohmann::ordered_json json = {{"format", 1},
                                 {"world_size", world.world_size()},
                                 {"num_nodes", world.control->num_nodes()},
                                 {"cpu", DescribeProcess().cpu_model},
                                 {"results", nlohmann::ordered_json::array()},
                                 {"fits", nlohmann::ordered_json::array()}};
  for (const AllReduceFigure& figure : report.figures) {
    json["results"].push_back({{"backend", figure.backend},
                               {"dtype", figure.dtype},
                               {"bytes", figure.bytes},
                               {"seconds_median", figure.seconds.median},
                               {"seconds_min", figure.seconds.min},
                               {"seconds_max", figure.seconds.max},
                               {"seconds_lower_quartile", figure.seconds.lower_quartile},
                               {"seconds_upper_quartile", figure.seconds.upper_quartile},
                               {"repeats", figure.seconds.repeats},
                               {"calls_per_repeat", figure.calls_per_sample},
                               {"discarded_repeats", figure.seconds.discarded},
                               {"algbw_gb_per_second", figure.algbw},
                               {"busbw_gb_per_second", figure.busbw},
                               {"correct", figure.correct}});
  }
  if (const std::string gpu = GpuName(report); !gpu.empty()) json["gpu"] = gpu;
  for (const AllReduceFit& fit : report.fits) {
    json["fits"].push_back({{"backend", fit.backend},
                            {"dtype", fit.dtype},
                            {"alpha_seconds", fit.latency_seconds},
                            {"beta_seconds_per_byte", 1 / fit.bytes_per_second},
                            {"r_squared", fit.r_squared},
                            {"num_sizes", fit.num_sizes}});
  }
  return json.dump(2) + "\n";
}

std::string ReportText(const AllReduceReport& report, const World& world) {
  std::string text = std::to_string(world.world_size()) + " ranks on " +
                     std::to_string(world.control->num_nodes()) +
                     " node(s), in place unless it says otherwise, " + DescribeProcess().cpu_model +
                     (GpuName(report).empty() ? "" : ", " + GpuName(report)) +
                     "\nbandwidths of the median in 1e9 bytes/s; busbw = algbw x 2 (n - 1) / n\n\n";
  text += Print("%10s  %-8s  %-26s  %9s  %9s  %9s  %8s  %8s  %7s  %s\n", "bytes", "dtype",
                "back end", "median", "min", "max", "algbw", "busbw", "repeats", "values");
  for (const AllReduceFigure& f : report.figures) {
    text += Print("%10lld  %-8s  %-26s  %9s  %9s  %9s  %8.3f  %8.3f  %7lld  %s\n",
                  static_cast<long long>(f.bytes), f.dtype.c_str(), f.backend.c_str(),
                  FormatShortTime(f.seconds.median).c_str(), FormatShortTime(f.seconds.min).c_str(),
                  FormatShortTime(f.seconds.max).c_str(), f.algbw, f.busbw,
                  static_cast<long long>(f.seconds.repeats), f.correct ? "correct" : "WRONG");
  }
  if (!report.fits.empty()) text += "\nfit: time = alpha + bytes x beta, by relative error\n";
  for (const AllReduceFit& fit : report.fits) {
    text +=
        Print("%-8s  %-26s  alpha %9s  1/beta %8.3f GB/s  R2 %.4f  (%lld sizes)\n",
              fit.dtype.c_str(), fit.backend.c_str(), FormatShortTime(fit.latency_seconds).c_str(),
              fit.bytes_per_second / 1e9, fit.r_squared, static_cast<long long>(fit.num_sizes));
  }
  return text;
}

std::string DryRun(const AllReduceBenchConfig& config) {
  std::string text = "sizes:";
  for (const int64_t size : config.Sizes()) text += " " + FormatBytes(size) + ",";
  text.pop_back();
  text += "\nback ends:";
  for (const std::string& name : config.backends) text += " " + name;
  text += "\nmemory a rank: up to " +
          FormatBytes(config.Sizes().back() * static_cast<int64_t>(config.backends.size())) +
          ", twice that for out of place\n";
  return text;
}

}  // namespace

void RunBenchAllReduce(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<AllReduceBenchConfig>(options, world)) return;
  const auto config = ReadConfigTogether<AllReduceBenchConfig>(options, world);
  if (options.dry_run) return PrintResult(world, DryRun(config));
  const auto subjects = MakeSubjects(*world.control, config);
  const AllReduceReport report = MeasureAllReduce(*world.control, subjects, config);
  for (const auto& subject : subjects) subject->Close();
  PrintResult(world, options.json ? ReportJson(report, world) : ReportText(report, world));
  for (const AllReduceFigure& figure : report.figures) {
    if (figure.correct) continue;
    throw Error(ErrorKind::kInternal,
                figure.backend + " gave wrong values at " + std::to_string(figure.bytes) +
                    " bytes of " + figure.dtype,
                /*on_all_ranks=*/true);
  }
}

}  // namespace breakeven
