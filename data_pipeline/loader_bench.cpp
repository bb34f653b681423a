// Pure.
#include "data_pipeline/loader_bench.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "comm/base/error.h"
#include "comm/base/random.h"
#include "data_pipeline/loader.h"
#include "data_pipeline/token_dataset.h"

namespace breakeven {
namespace {

// What one call of the measured work moved.
struct Work {
  int64_t examples = 0;
  int64_t tokens = 0;
};

LoaderFigure Measure(const LoaderBenchConfig& config, const std::function<Work()>& work) {
  // As many calls in a repeat as fill its time, found by doubling.
  int64_t calls = 1;
  double seconds = 0;
  while (true) {
    const Stopwatch watch;
    for (int64_t i = 0; i < calls; ++i) work();
    seconds = watch.Seconds();
    if (seconds >= config.seconds / 2) break;
    calls *= 2;
  }
  std::vector<double> samples;
  Work total;
  for (int64_t repeat = 0; repeat < config.warmups + config.repeats; ++repeat) {
    const Stopwatch watch;
    for (int64_t i = 0; i < calls; ++i) {
      const Work done = work();
      total.examples += done.examples;
      total.tokens += done.tokens;
    }
    if (repeat >= config.warmups) samples.push_back(watch.Seconds() / static_cast<double>(calls));
  }
  LoaderFigure figure;
  figure.seconds = SummariseSeconds(std::move(samples), config.warmups);
  const auto all_calls = static_cast<double>(calls * (config.warmups + config.repeats));
  const double per_call_seconds = figure.seconds.median;
  figure.examples_per_second = static_cast<double>(total.examples) / all_calls / per_call_seconds;
  figure.tokens_per_second = static_cast<double>(total.tokens) / all_calls / per_call_seconds;
  return figure;
}

LoaderFigure RandomExamples(const LoaderBenchConfig& config, const TokenDataset& dataset) {
  int64_t longest = 0;
  for (int64_t i = 0; i < dataset.num_examples(); ++i) {
    longest = std::max(longest, dataset.example_tokens(i));
  }
  std::vector<int64_t> buffer(static_cast<size_t>(longest));
  uint64_t draw = 0;
  LoaderFigure figure = Measure(config, [&]() -> Work {
    const auto example =
        static_cast<int64_t>(RandomBits(static_cast<uint64_t>(config.seed), 0, draw++) %
                             static_cast<uint64_t>(dataset.num_examples()));
    const int64_t tokens = dataset.example_tokens(example);
    dataset.ReadTokens(example, std::span(buffer).first(static_cast<size_t>(tokens)));
    return {1, tokens};
  });
  figure.what = "random_examples";
  return figure;
}

LoaderFigure Steps(const LoaderBenchConfig& config, const TokenDataset& dataset) {
  const EpochPlanner planner(
      {dataset.num_examples(), [&](int64_t i) { return dataset.example_tokens(i); },
       [&](int64_t i) { return dataset.example_targets(i); }},
      config.batching, static_cast<uint64_t>(config.seed), /*world_size=*/1);
  LoaderOptions options;
  options.num_steps = int64_t{1} << 40;
  Loader loader(dataset, planner, options);
  LoaderFigure figure = Measure(config, [&]() -> Work {
    const std::optional<LoadedStep> step = loader.Next();
    BE_CHECK(step.has_value(), "steps without end");
    return {std::ssize(step->plan.examples), step->plan.global_tokens};
  });
  loader.Stop();
  figure.what = "steps";
  return figure;
}

}  // namespace

void LoaderBenchConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"data", "dataset (HDF5) or index", Required()}, data);
  v.Visit({"readers", "mmap, or H5Dread for file systems without it", OneOf({"mmap", "h5dread"})},
          readers);
  v.Visit({"batching", "how examples become steps"}, batching);
  v.Visit({"seed", "order of examples", AtLeast(0)}, seed);
  v.Visit({"repeats", "timed repeats of each figure", AtLeast(1)}, repeats);
  v.Visit({"warmups", "repeats before them that do not count", AtLeast(0)}, warmups);
  v.Visit({"seconds", "about how long a repeat takes", Above(0)}, seconds);
}

void LoaderBenchConfig::Validate() const {
  batching.Validate();
  if (data.empty()) throw Error(ErrorKind::kUsage, "data: empty. Give a token dataset.");
}

LoaderReport MeasureLoader(const LoaderBenchConfig& config) {
  config.Validate();
  LoaderReport report;
  for (const std::string& reader : config.readers) {
    TokenDatasetOptions options;
    options.use_mmap = reader == "mmap";
    const std::unique_ptr<TokenDataset> dataset = TokenDataset::Open(config.data, options);
    if (dataset->num_examples() == 0) {
      throw Error(ErrorKind::kBadData, config.data + ": has no example to read.");
    }
    report.num_examples = dataset->num_examples();
    report.num_tokens = dataset->num_tokens();
    std::vector<int64_t> buffer;
    for (int64_t i = 0; i < dataset->num_examples(); ++i) {  // verifies every block once
      buffer.resize(static_cast<size_t>(dataset->example_tokens(i)));
      dataset->ReadTokens(i, buffer);
    }
    for (LoaderFigure figure : {RandomExamples(config, *dataset), Steps(config, *dataset)}) {
      figure.reader = reader;
      report.figures.push_back(std::move(figure));
    }
  }
  return report;
}

}  // namespace breakeven
