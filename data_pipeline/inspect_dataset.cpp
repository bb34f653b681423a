#include "data_pipeline/inspect_dataset.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "comm/base/progress.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

std::vector<DatasetDescription::Bin> Histogram(const std::vector<int64_t>& sorted) {
  std::vector<DatasetDescription::Bin> bins;
  for (int64_t from = 1; from <= sorted.back(); from *= 2) {
    const int64_t to = 2 * from - 1;
    const auto begin = std::lower_bound(sorted.begin(), sorted.end(), from);
    const auto end = std::upper_bound(sorted.begin(), sorted.end(), to);
    if (begin == end && bins.empty()) continue;
    bins.push_back({from, to, end - begin});
  }
  return bins;
}

std::string PieceText(const Tokenizer* tokenizer, std::span<const int64_t> tokens) {
  if (tokenizer != nullptr) {
    const std::vector<int32_t> ids(tokens.begin(), tokens.end());
    return tokenizer->Decode(ids);
  }
  std::string text;
  for (const int64_t token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
  return text;
}

void DescribeExample(const TokenDataset& dataset, const Tokenizer* tokenizer,
                     DatasetDescription& description) {
  std::vector<int64_t>& tokens = description.example_tokens;
  tokens.resize(static_cast<size_t>(dataset.example_tokens(description.example)));
  dataset.ReadTokens(description.example, tokens);
  description.example_id = dataset.example_id(description.example);
  size_t at = 0;
  const auto add = [&](bool is_target, size_t end) {
    if (end == at) return;
    const auto piece = std::span<const int64_t>(tokens).subspan(at, end - at);
    description.example_pieces.emplace_back(is_target, PieceText(tokenizer, piece));
    at = end;
  };
  for (const TargetSpan& span : dataset.target_spans(description.example)) {
    // A target at position 0 has no predictor, so it is none.
    add(false, std::max<size_t>(span.begin, at == 0 ? 1 : span.begin));
    add(true, span.end);
  }
  add(false, tokens.size());
}

std::string Percent(int64_t part, int64_t whole) {
  char text[32];
  const double share = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  std::snprintf(text, sizeof(text), "%.1f %%", share);
  return text;
}

std::string HistogramText(const DatasetDescription& description) {
  int64_t most = 1;
  for (const auto& bin : description.histogram) most = std::max(most, bin.num_examples);
  std::string text;
  for (const auto& bin : description.histogram) {
    constexpr int64_t kCells = 40;
    const int64_t cells = (bin.num_examples * kCells + most - 1) / most;
    char line[64];
    std::snprintf(line, sizeof(line), "  %7lld –%7lld  %11s  ", static_cast<long long>(bin.from),
                  static_cast<long long>(bin.to), FormatCount(bin.num_examples).c_str());
    text += line + std::string(static_cast<size_t>(cells), '#') + "\n";
  }
  return text;
}

std::string ExampleText(const DatasetDescription& description, bool color) {
  std::string text = "example " + std::to_string(description.example) + " (id " +
                     std::to_string(description.example_id) + ", " +
                     std::to_string(description.example_tokens.size()) + " tokens), " +
                     (description.decoded ? "targets between ⟦ and ⟧"
                                          : "token ids, targets between ⟦ and ⟧; no tokenizer at "
                                            "hand has this dataset's fingerprint") +
                     ":\n";
  for (const auto& [is_target, piece] : description.example_pieces) {
    if (!is_target) {
      text += piece;
    } else {
      text += color ? "\033[32m⟦" + piece + "⟧\033[0m" : "⟦" + piece + "⟧";
    }
    if (!description.decoded) text += " ";
  }
  return text + "\n";
}

}  // namespace

LengthStatistics SummarizeLengths(std::vector<int64_t>& lengths) {
  BE_CHECK(!lengths.empty(), "no lengths");
  std::sort(lengths.begin(), lengths.end());
  const auto quantile = [&](double q) {
    const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(lengths.size())));
    return lengths[std::max<size_t>(rank, 1) - 1];
  };
  double sum = 0;
  for (const int64_t length : lengths) sum += static_cast<double>(length);
  return {lengths.front(), quantile(0.5),  quantile(0.9),
          quantile(0.99),  lengths.back(), sum / static_cast<double>(lengths.size())};
}

DatasetDescription DescribeDataset(const TokenDataset& dataset, const Tokenizer* tokenizer,
                                   int64_t example) {
  if (example < 0 || example >= dataset.num_examples()) {
    throw Error(ErrorKind::kUsage, dataset.path() + ": example " + std::to_string(example) +
                                       " does not exist; expected 0 to " +
                                       std::to_string(dataset.num_examples() - 1));
  }
  DatasetDescription description;
  description.path = dataset.path();
  description.info = dataset.info();
  description.num_examples = dataset.num_examples();
  description.num_tokens = dataset.num_tokens();
  description.num_targets = dataset.num_targets();
  std::vector<int64_t> lengths(static_cast<size_t>(dataset.num_examples()));
  for (size_t i = 0; i < lengths.size(); ++i) {
    lengths[i] = dataset.example_tokens(static_cast<int64_t>(i));
  }
  description.lengths = SummarizeLengths(lengths);
  description.histogram = Histogram(lengths);
  description.example = example;
  if (tokenizer != nullptr && tokenizer->fingerprint() != dataset.info().tokenizer_fingerprint) {
    tokenizer = nullptr;
  }
  description.decoded = tokenizer != nullptr;
  DescribeExample(dataset, tokenizer, description);
  return description;
}

std::string DescriptionText(const DatasetDescription& d, bool color) {
  const LengthStatistics& lengths = d.lengths;
  char mean[32];
  std::snprintf(mean, sizeof(mean), "%.1f", lengths.mean);
  std::string text = d.path + ": token dataset, format " + std::to_string(d.info.format) + "\n";
  const auto line = [&](const std::string& name, const std::string& value) {
    text += "  " + name + std::string(24 - name.size(), ' ') + value + "\n";
  };
  line("split", d.info.split);
  line("examples", FormatCount(d.num_examples));
  line("tokens", FormatCount(d.num_tokens));
  line("target tokens",
       FormatCount(d.num_targets) + " (" + Percent(d.num_targets, d.num_tokens) + ")");
  line("tokens an example",
       "min " + std::to_string(lengths.min) + ", mean " + mean + ", p50 " +
           std::to_string(lengths.p50) + ", p90 " + std::to_string(lengths.p90) + ", p99 " +
           std::to_string(lengths.p99) + ", max " + std::to_string(lengths.max));
  line("vocabulary", FormatCount(d.info.vocab_size));
  line("tokenizer fingerprint", d.info.tokenizer_fingerprint);
  line("template fingerprint", d.info.template_fingerprint);
  line("content hash", d.info.content_hash);
  for (const auto& [name, hash] : d.info.source_hashes) line("source", name + "  " + hash);
  for (const auto& [name, count] : d.info.counts) {
    line(name.size() < 24 ? name : name.substr(0, 23), FormatCount(count));
  }
  return text + "lengths in tokens:\n" + HistogramText(d) + ExampleText(d, color);
}

std::string DescriptionJson(const DatasetDescription& d) {
  Json json;
  json["path"] = d.path;
  json["format"] = d.info.format;
  json["split"] = d.info.split;
  json["examples"] = d.num_examples;
  json["tokens"] = d.num_tokens;
  json["target_tokens"] = d.num_targets;
  json["token_lengths"] = {{"min", d.lengths.min}, {"mean", d.lengths.mean},
                           {"p50", d.lengths.p50}, {"p90", d.lengths.p90},
                           {"p99", d.lengths.p99}, {"max", d.lengths.max}};
  json["histogram"] = Json::array();
  for (const auto& bin : d.histogram) {
    json["histogram"].push_back(
        {{"from", bin.from}, {"to", bin.to}, {"examples", bin.num_examples}});
  }
  json["vocab_size"] = d.info.vocab_size;
  json["tokenizer_fingerprint"] = d.info.tokenizer_fingerprint;
  json["template_fingerprint"] = d.info.template_fingerprint;
  json["content_hash"] = d.info.content_hash;
  json["source_hashes"] = d.info.source_hashes;
  json["counts"] = d.info.counts;
  json["config"] = Json::parse(d.info.config, nullptr, false);
  if (json["config"].is_discarded()) json["config"] = d.info.config;
  Json example;
  example["index"] = d.example;
  example["id"] = d.example_id;
  example["tokens"] = d.example_tokens;
  example["pieces"] = Json::array();
  for (const auto& [is_target, piece] : d.example_pieces) {
    example["pieces"].push_back({{"target", is_target}, {d.decoded ? "text" : "ids", piece}});
  }
  json["example"] = example;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven
