// breakeven bench step: tokens a second of training steps, split by phase.
#include <nlohmann/json.hpp>

#include "comm/data_plane.h"
#include "launch/bench.h"
#include "launch/bench_origin.h"
#include "launch/print_text.h"
#include "trainer/step_bench.h"
#include "trainer/training_run.h"

namespace breakeven {
namespace {

struct Phase {
  const char* name;
  const char* what;
  const Timing* seconds;
};

std::vector<Phase> PhasesOf(const StepPhases& phases) {
  return {
      {"input", "waiting for the loader", &phases.input},
      {"forward", "with head and loss, and their gradients", &phases.forward},
      {"backward", "without the collectives in it", &phases.backward},
      {"communication", "in collectives, other ranks' lateness included", &phases.communication},
      {"update", "clipping, AdamW, copies for the products", &phases.update},
      {"step", "all of it", &phases.step}};
}

nlohmann::ordered_json TimingJson(const Timing& t) {
  return {{"seconds_median", t.median},
          {"seconds_min", t.min},
          {"seconds_max", t.max},
          {"seconds_lower_quartile", t.lower_quartile},
          {"seconds_upper_quartile", t.upper_quartile},
          {"repeats", t.repeats},
          {"discarded_repeats", t.discarded}};
}

std::string ReportJson(const StepBenchReport& report, const BenchOrigin& origin,
                       const World& world) {
  nlohmann::ordered_json json = {
      {"format", 1},
      {"world_size", world.world_size()},
      {"num_nodes", world.control->num_nodes()},
      {"threads_per_rank", report.threads},
      {"backend", std::string(world.data->name())},
      {"cpu", DescribeProcess().cpu_model},
      {"gpu", origin.gpu},
      {"cpus_per_node", origin.cpus_per_node},
      {"cpus_of_machine", origin.cpus_of_machine},
      {"hosts", origin.hosts},
      {"program", origin.program},
      {"time", origin.time},
      {"precision", report.precision},
      {"tokens", report.tokens},
      {"target_tokens", report.target_tokens},
      {"tokens_per_second", report.tokens_per_second},
      {"loss", report.loss},
      {"flops", report.flops},
      {"peak_flops_per_second", report.peak_flops_per_second},
      {"mfu", report.mfu},
      {"peak_memory_bytes", report.peak_memory_bytes},
      {"predicted_memory_bytes", report.predicted_memory_bytes},
      {"exposed_communication_seconds", report.exposed_communication_seconds},
      {"skew_seconds", report.skew_seconds},
      {"phases", nlohmann::ordered_json::object()}};
  for (const Phase& phase : PhasesOf(report.phases)) {
    json["phases"][phase.name] = TimingJson(*phase.seconds);
  }
  if (report.control.has_value()) {
    const StepControl& control = *report.control;
    json["control"] = {{"with", TimingJson(control.with)},
                       {"without", TimingJson(control.without)},
                       {"efficiency", control.efficiency},
                       {"efficiency_interval", {control.efficiency_low, control.efficiency_high}},
                       {"efficiency_of_mean_rank", control.efficiency_of_mean_rank},
                       {"exposed_communication_seconds", control.exposed_communication_seconds},
                       {"skew_seconds", control.skew_seconds}};
  }
  return json.dump(2) + "\n";
}

std::string ControlText(const StepControl& control) {
  return Print(
             "\nthe same batches in turns, %lld steps each, of the slowest rank: with "
             "communication %s, "
             "without %s\n",
             static_cast<long long>(control.with.repeats),
             FormatShortTime(control.with.median).c_str(),
             FormatShortTime(control.without.median).c_str()) +
         Print(
             "with is %.1f %% [%.1f, %.1f] as fast as without (%.1f %% by the mean rank); exposed "
             "%s, "
             "skew %s a step\n",
             100 * control.efficiency, 100 * control.efficiency_low, 100 * control.efficiency_high,
             100 * control.efficiency_of_mean_rank,
             FormatShortTime(control.exposed_communication_seconds).c_str(),
             FormatShortTime(control.skew_seconds).c_str());
}

std::string ReportText(const StepBenchReport& report, const World& world) {
  const int64_t steps = report.phases.step.repeats;
  std::string text =
      Print("%d ranks x %lld threads, %s, %s; %lld steps after %lld to warm up\n\n",
            world.world_size(), static_cast<long long>(report.threads), report.precision.c_str(),
            DescribeProcess().cpu_model.c_str(), static_cast<long long>(steps),
            static_cast<long long>(report.phases.step.discarded));
  text += Print("%-14s  %9s  %9s  %9s  %9s  %6s\n", "phase", "median", "quartile", "quartile",
                "max", "share");
  for (const Phase& phase : PhasesOf(report.phases)) {
    const Timing& t = *phase.seconds;
    text += Print("%-14s  %9s  %9s  %9s  %9s  %5.1f%%  %s\n", phase.name,
                  FormatShortTime(t.median).c_str(), FormatShortTime(t.lower_quartile).c_str(),
                  FormatShortTime(t.upper_quartile).c_str(), FormatShortTime(t.max).c_str(),
                  100 * t.median / report.phases.step.median, phase.what);
  }
  text += Print("\n%.1f tokens/s without padding (%lld tokens, %lld of them targets, a step)\n",
                report.tokens_per_second, static_cast<long long>(report.tokens / steps),
                static_cast<long long>(report.target_tokens / steps));
  text += Print(
      "MFU %.1f %% = %.1f GFLOP a step (6 a weight and row of every matrix product, causal "
      "attention at half) / time / %.0f GFLOP/s\n(measured: %lld x %lld products on all ranks at "
      "once)\n",
      100 * report.mfu, report.flops / static_cast<double>(steps) / 1e9,
      report.peak_flops_per_second / 1e9, static_cast<long long>(report.peak_product_size),
      static_cast<long long>(report.peak_product_size));
  text +=
      Print("of communication %s a step exposed, %s waiting for a later rank (mean over ranks)\n",
            FormatShortTime(report.exposed_communication_seconds).c_str(),
            FormatShortTime(report.skew_seconds).c_str());
  text +=
      Print("peak memory %.2f GB on the largest rank, %.2f of the %.2f GB predicted from shapes\n",
            static_cast<double>(report.peak_memory_bytes) / 1e9,
            static_cast<double>(report.peak_memory_bytes) /
                static_cast<double>(report.predicted_memory_bytes),
            static_cast<double>(report.predicted_memory_bytes) / 1e9);
  text += Print("mean loss %.6f\n", report.loss);
  if (report.control.has_value()) text += ControlText(*report.control);
  return text;
}

}  // namespace

void RunBenchStep(const CommandOptions& options, World& world) {
  if (AnswerAboutConfig<StepBenchConfig>(options, world)) return;
  auto config = ReadConfigTogether<StepBenchConfig>(options, world);
  RunTogether(*world.control, /*root_only=*/false, [&] { ResolvePaths(config.train); });
  if (options.dry_run) {
    world.device = BindDevice(*world.control, config.train.device.Options());
    return PrintResult(world, DryRunTraining(config.Measured(), world));
  }
  OpenDataPlane(world, config.train.comm, config.train.device.Options());
  const StepBenchReport report = MeasureSteps(config, world);
  const BenchOrigin origin = DescribeOrigin(world);
  PrintResult(world, options.json ? ReportJson(report, origin, world) : ReportText(report, world));
}

}  // namespace breakeven
