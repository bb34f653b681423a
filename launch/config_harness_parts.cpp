// Pure.
#include "launch/config_harness_parts.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/template/value.h"

namespace breakeven {
namespace {

struct MetricRule {
  std::string_view output_type;
  std::string_view metric;
  std::vector<std::string_view> aggregations;
};

const std::vector<MetricRule>& MetricRules() {
  static const std::vector<MetricRule> kRules = {
      {"multiple_choice", "acc", {"mean"}},
      {"multiple_choice", "acc_norm", {"mean"}},
      {"multiple_choice", "acc_bytes", {"mean"}},
      {"multiple_choice", "brier_score", {"brier_score"}},
      {"multiple_choice", "f1", {"f1"}},
      {"multiple_choice", "mcc", {"mcc", "matthews_corrcoef"}},
      {"generate_until", "exact_match", {"mean"}},
      {"loglikelihood", "acc", {"mean"}},
      {"loglikelihood", "perplexity", {"perplexity"}},
      {"loglikelihood_rolling", "word_perplexity", {"weighted_perplexity"}},
      {"loglikelihood_rolling", "byte_perplexity", {"weighted_perplexity"}},
      {"loglikelihood_rolling", "bits_per_byte", {"bits_per_byte"}},
  };
  return kRules;
}

ConfigNode EmptyList(const ConfigNode& place) {
  ConfigNode list;
  list.kind = ConfigNode::Kind::kList;
  list.place = place.place;
  return list;
}

const std::vector<ConfigNode>& Items(const ConfigNode& node, const std::string& key) {
  if (!node.is_list())
    RefuseHarness(node, key, "found " + DescribeNode(node) + ", expected a list");
  return node.items;
}

const std::vector<ConfigEntry>& Entries(const ConfigNode& node, const std::string& key) {
  if (!node.is_map()) RefuseHarness(node, key, "found " + DescribeNode(node) + ", expected a map");
  return node.entries;
}

// As PyYAML types it.
Value TypedValue(const ConfigNode& node) {
  if (node.is_list()) {
    List list;
    for (const ConfigNode& item : node.items) list.push_back(TypedValue(item));
    return list;
  }
  if (node.is_map()) {
    Dict dict;
    for (const ConfigEntry& entry : node.entries) dict.Set(entry.key, TypedValue(entry.value));
    return dict;
  }
  if (node.is_null()) return {};
  bool truth = false;
  int64_t integer = 0;
  double number = 0;
  if (!node.quoted && ParseBool(node.text, truth)) return truth;
  if (!node.quoted && node.text.find_first_of(".eE") == std::string::npos &&
      ParseInteger(node.text, integer)) {
    return integer;
  }
  if (!node.quoted && node.text.find('.') != std::string::npos && ParseNumber(node.text, number)) {
    return number;
  }
  return node.text;
}

void CheckMetric(const ConfigNode& metric, const std::string& output_type,
                 const ConfigNode* aggregation) {
  const auto& rules = MetricRules();
  const auto rule = std::find_if(rules.begin(), rules.end(), [&](const MetricRule& candidate) {
    return candidate.output_type == output_type && candidate.metric == metric.text;
  });
  if (rule == rules.end()) {
    RefuseHarness(
        metric, "metric_list",
        "the metric '" + metric.text + "' of output_type " + output_type + " is not computed here");
  }
  if (aggregation == nullptr || aggregation->is_null()) return;
  const auto& known = rule->aggregations;
  if (std::find(known.begin(), known.end(), aggregation->text) == known.end()) {
    RefuseHarness(*aggregation, "metric_list",
                  "the metric '" + metric.text + "' is aggregated by " +
                      std::string(known.front()) + " here, not by '" + aggregation->text + "'");
  }
}

// What a metric's entry has beside its name; exact_match's options go to `options`.
void ConvertMetricKey(const ConfigEntry& entry, const std::string& metric, ConfigNode& options) {
  static constexpr std::string_view kNothing[] = {"metric", "aggregation", "higher_is_better",
                                                  "weight_by_size"};
  static constexpr std::string_view kOptions[] = {"ignore_case", "ignore_punctuation",
                                                  "ignore_numbers", "regexes_to_ignore"};
  const auto is_one = [&](const auto& keys) {
    return std::find(std::begin(keys), std::end(keys), entry.key) != std::end(keys);
  };
  if (is_one(kNothing) || entry.value.is_null()) return;
  bool truth = true;
  if (entry.key == "hf_evaluate" && ParseBool(entry.value.text, truth) && !truth) return;
  if (!is_one(kOptions)) {
    RefuseHarness(
        entry.value, "metric_list",
        "the option '" + entry.key + "' of the metric '" + metric + "' is not known here");
  }
  if (metric == "exact_match" && options.Find(entry.key) == nullptr) {
    options.Add(entry.key, entry.value);
  }
}

ConfigNode ConvertStep(const ConfigNode& step) {
  static constexpr std::string_view kFunctions[] = {
      "regex", "multi_choice_regex", "remove_whitespace", "lowercase", "uppercase",
      "map",   "take_first"};
  const ConfigNode* function = step.Find("function");
  if (function == nullptr) RefuseHarness(step, "filter_list", "a step without function");
  if (std::find(std::begin(kFunctions), std::end(kFunctions), function->text) ==
      std::end(kFunctions)) {
    RefuseHarness(*function, "filter_list",
                  "the filter '" + function->text + "' is not known here");
  }
  ConfigNode ours;
  ours.kind = ConfigNode::Kind::kMap;
  ours.place = step.place;
  for (const ConfigEntry& entry : step.entries) {
    if (entry.value.is_null()) continue;
    ConfigNode value = entry.value;
    for (ConfigEntry& mapped : value.entries)
      mapped.value = HarnessText(mapped.value, "filter_list");
    ours.Add(entry.key, std::move(value));
  }
  const bool regex = function->text == "regex" || function->text == "multi_choice_regex";
  if (regex && ours.Find("regex_pattern") == nullptr) {
    ours.Add("regex_pattern",
             ScalarNode("#### (\\-?[0-9\\.\\,]+)", true));  // the harness's default
  }
  return ours;
}

}  // namespace

void RefuseHarness(const ConfigNode& node, const std::string& key, const std::string& why) {
  throw Error(ErrorKind::kUsage, node.place.Text() + ": " + (key.empty() ? "" : key + ": ") + why +
                                     " (a task file of lm-evaluation-harness)");
}

ConfigNode HarnessText(const ConfigNode& node, const std::string& key) {
  if (!node.is_scalar())
    RefuseHarness(node, key, "found " + DescribeNode(node) + ", expected a text");
  ConfigNode text = node;
  text.quoted = true;
  return text;
}

bool HasBraces(const std::string& text) {
  return text.find("{{") != std::string::npos || text.find("{%") != std::string::npos ||
         text.find("{#") != std::string::npos;
}

void ConvertChoices(const ConfigNode& node, ConfigNode& task) {
  ConfigNode choices = EmptyList(node);
  if (node.is_scalar()) {
    choices.items.push_back(HarnessText(node, "doc_to_choice"));
    task.Add("doc_to_choice", std::move(choices));
    return;
  }
  std::vector<ConfigNode> items = node.items;
  for (const ConfigEntry& entry : node.entries) items.push_back(entry.value);
  for (const ConfigNode& item : items) {
    choices.items.push_back(HarnessText(item, "doc_to_choice"));
    // The harness takes the choices of a list as they are.
    if (HasBraces(item.text))
      RefuseHarness(item, "doc_to_choice",
                    "a choice with braces would be taken for a template here");
  }
  if (choices.items.size() < 2) RefuseHarness(node, "doc_to_choice", "a choice needs at least two");
  task.Add("doc_to_choice", std::move(choices));
}

void ConvertTarget(const ConfigNode& node, ConfigNode& task) {
  ConfigNode target;
  if (node.is_list()) {
    target = ScalarNode(ToJson(TypedValue(node)), true);
    target.place = node.place;
    if (HasBraces(target.text))
      RefuseHarness(node, "doc_to_target", "a list with braces would be taken for a template here");
  } else {
    target = HarnessText(node, "doc_to_target");
  }
  if (target.text.empty()) target.text = "{{ '' }}";  // an empty line of ours means none is given
  task.Add("doc_to_target", std::move(target));
}

void ConvertGeneration(const ConfigNode& node, ConfigNode& task) {
  bool sample = false;
  bool says_sample = false;
  double temperature = 0;
  const ConfigNode* tokens = nullptr;
  int tokens_rank = 4;
  for (const ConfigEntry& entry : Entries(node, "generation_kwargs")) {
    static constexpr std::string_view kTokens[] = {"max_gen_toks", "max_new_tokens", "max_tokens",
                                                   "max_completion_tokens"};
    const std::string key = "generation_kwargs." + entry.key;
    const auto alias = std::find(std::begin(kTokens), std::end(kTokens), entry.key);
    if (entry.value.is_null()) continue;
    if (entry.key == "until") {
      const bool none = entry.value.is_list() && entry.value.items.empty();
      if (none) task.Add("until_end_of_text", ScalarNode("true", false));
      if (!none) task.Add("until", entry.value);
    } else if (alias != std::end(kTokens)) {
      const auto rank = static_cast<int>(alias - std::begin(kTokens));
      if (rank < tokens_rank) tokens = &entry.value;
      tokens_rank = std::min(rank, tokens_rank);
    } else if (entry.key == "do_sample") {
      says_sample = true;
      if (!ParseBool(entry.value.text, sample))
        RefuseHarness(entry.value, key, "expected true or false");
    } else if (entry.key == "temperature") {
      if (!ParseNumber(entry.value.text, temperature))
        RefuseHarness(entry.value, key, "expected a number");
    } else if (entry.key == "num_beams") {
      if (entry.value.text != "1") RefuseHarness(entry.value, key, "beam search is not done here");
    } else if (entry.key != "top_p" && entry.key != "top_k") {
      RefuseHarness(entry.value, key, "not known here");
    }
  }
  // The harness samples where it is told to, or where a temperature is given and nothing is said.
  if (sample || (!says_sample && temperature > 0)) {
    RefuseHarness(node, "generation_kwargs",
                  "answers are sampled; only greedy ones (do_sample: false, or temperature 0) are "
                  "scored here");
  }
  if (tokens != nullptr) task.Add("max_gen_toks", *tokens);
}

void ConvertMetrics(const ConfigNode& node, const std::string& output_type, ConfigNode& task) {
  ConfigNode metrics = EmptyList(node);
  ConfigNode options;
  options.kind = ConfigNode::Kind::kMap;
  options.place = node.place;
  if (!node.is_null()) {
    for (const ConfigNode& item : Items(node, "metric_list")) {
      const ConfigNode* metric = item.Find("metric");
      if (metric == nullptr || !metric->is_scalar())
        RefuseHarness(item, "metric_list", "an entry without metric");
      CheckMetric(*metric, output_type, item.Find("aggregation"));
      for (const ConfigEntry& entry : item.entries) ConvertMetricKey(entry, metric->text, options);
      metrics.items.push_back(HarnessText(*metric, "metric_list"));
    }
    task.Add("metrics", std::move(metrics));
  }
  if (output_type != "generate_until") return;
  options.Add("strip", ScalarNode("false", false));
  task.Add("exact_match", std::move(options));
}

void ConvertFilters(const ConfigNode& node, const std::string& output_type, ConfigNode& task) {
  ConfigNode pipelines = EmptyList(node);
  bool only_first = true;
  for (const ConfigNode& item : Items(node, "filter_list")) {
    ConfigNode pipeline;
    pipeline.kind = ConfigNode::Kind::kMap;
    pipeline.place = item.place;
    const ConfigNode* name = item.Find("name");
    const ConfigNode* steps = item.Find("filter");
    if (name == nullptr || steps == nullptr)
      RefuseHarness(item, "filter_list", "expected name and filter");
    pipeline.Add("name", HarnessText(*name, "filter_list"));
    ConfigNode& ours = pipeline.Add("filter", EmptyList(*steps));
    for (const ConfigNode& step : Items(*steps, "filter_list")) {
      ours.items.push_back(ConvertStep(step));
      only_first = only_first && step.Find("function")->text == "take_first";
    }
    pipelines.items.push_back(std::move(pipeline));
  }
  if (output_type == "generate_until") {
    task.Add("filter_list", std::move(pipelines));
  } else if (!only_first) {
    RefuseHarness(node, "filter_list",
                  "only generated texts are filtered, output_type is " + output_type);
  }
}

void ConvertSamples(const ConfigNode& node, ConfigNode& task) {
  ConfigNode samples = EmptyList(node);
  for (const ConfigNode& item : Items(node, "fewshot_config.samples")) {
    if (!item.is_map()) RefuseHarness(item, "fewshot_config.samples", "expected a list of maps");
    samples.items.push_back(ScalarNode(ToJson(TypedValue(item)), true));
    samples.items.back().place = item.place;
  }
  task.Add("fewshot_samples", std::move(samples));
}

}  // namespace breakeven
