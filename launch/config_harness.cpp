#include "launch/config_harness.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "launch/config_harness_parts.h"
#include "launch/yaml_document.h"

namespace breakeven {
namespace {

// Said in the log: they tell where the data come from, or describe the task.
constexpr std::string_view kNoEffect[] = {
    "dataset_path", "dataset_name", "dataset_kwargs",       "metadata",
    "tag",          "task_alias",   "should_decontaminate", "doc_to_decontamination_query"};

struct Refusal {
  std::string_view key;
  std::string_view why;
};
constexpr Refusal kRefused[] = {
    {"group", "the file names a group of tasks; give one of its tasks"},
    {"aggregate_metric_list", "the file names a group of tasks; give one of its tasks"},
    {"task_list", "the file holds several tasks; give one of them in a file of its own"},
    {"class", "the task is a Python class; only tasks that are all YAML can be read"},
    {"process_docs", "documents are changed by Python code; change the data file instead"},
    {"process_results", "scores are computed by Python code"},
    {"custom_dataset", "documents come from Python code"},
    {"doc_to_image", "the task shows pictures"},
    {"doc_to_audio", "the task plays sounds"},
    {"use_prompt", "the prompt comes from promptsource; write it out as doc_to_text"},
};

// Every key that is read below.
constexpr std::string_view kRead[] = {
    "task",          "output_type",      "doc_to_text",       "doc_to_target",     "doc_to_choice",
    "description",   "target_delimiter", "fewshot_delimiter", "gen_prefix",        "num_fewshot",
    "fewshot_split", "fewshot_config",   "metric_list",       "generation_kwargs", "filter_list",
    "repeats",       "unsafe_code",      "training_split",    "validation_split",  "test_split"};

bool IsOneOf(std::string_view key, const auto& names) {
  return std::find(std::begin(names), std::end(names), key) != std::end(names);
}

const ConfigNode* Function(const ConfigNode& node) {
  if (!node.tag.empty()) return &node;
  for (const ConfigNode& item : node.items) {
    if (const ConfigNode* found = Function(item)) return found;
  }
  for (const ConfigEntry& entry : node.entries) {
    if (const ConfigNode* found = Function(entry.value)) return found;
  }
  return nullptr;
}

// The file with what it includes; of keys that stand in both its own win.
ConfigNode ReadWithIncludes(const std::string& path, std::set<std::string>& seen) {
  ConfigNode file = ParseForeignYamlFile(path);
  if (!seen.insert(path).second) RefuseHarness(file, "include", "the file includes itself");
  if (!file.is_map())
    RefuseHarness(file, "", "found " + DescribeNode(file) + ", expected a map of a task's keys");
  const ConfigNode* include = file.Find("include");
  if (include == nullptr) return file;
  ConfigNode merged;
  merged.kind = ConfigNode::Kind::kMap;
  merged.place = file.place;
  const auto set = [&](const ConfigEntry& entry) {
    if (ConfigNode* old = merged.Find(entry.key)) {
      *old = entry.value;
    } else {
      merged.Add(entry.key, entry.value);
    }
  };
  for (const ConfigNode& item : include->is_list() ? include->items : std::vector{*include}) {
    if (!item.is_scalar()) RefuseHarness(item, "include", "expected the name of a file");
    const bool absolute = item.text.starts_with('/');
    const ConfigNode base =
        ReadWithIncludes(absolute ? item.text : item.place.Folder() + item.text, seen);
    for (const ConfigEntry& entry : base.entries) {
      if (entry.key != "task_list") set(entry);
    }
  }
  for (const ConfigEntry& entry : file.entries) {
    if (entry.key != "include") set(entry);
  }
  return merged;
}

class Converter {
 public:
  explicit Converter(ConfigNode file) : file_(std::move(file)) {
    // null means the default everywhere.
    std::erase_if(file_.entries, [](const ConfigEntry& entry) { return entry.value.is_null(); });
    task_.kind = ConfigNode::Kind::kMap;
    task_.place = file_.place;
  }

  ConfigNode Convert() {
    CheckKeys();
    const ConfigNode* name = file_.Find("task");
    if (name == nullptr)
      RefuseHarness(file_, "task", "missing; the file is there to be included, it is no task");
    if (name->is_list())
      RefuseHarness(*name, "task", "the file names a group of tasks; give one of its tasks");
    task_.Add("name", HarnessText(*name, "task"));
    if (const ConfigNode* type = file_.Find("output_type")) output_type_ = type->text;
    task_.Add("output_type", ScalarNode(output_type_, true));
    Templates();
    for (const char* key : {"description", "target_delimiter", "fewshot_delimiter", "gen_prefix"}) {
      if (const ConfigNode* node = file_.Find(key)) task_.Add(key, HarnessText(*node, key));
    }
    const ConfigNode* generation = file_.Find("generation_kwargs");
    if (generation != nullptr && output_type_ == "generate_until")
      ConvertGeneration(*generation, task_);
    const ConfigNode* metrics = file_.Find("metric_list");
    ConvertMetrics(metrics != nullptr ? *metrics : ConfigNode(), output_type_, task_);
    if (const ConfigNode* filters = file_.Find("filter_list")) {
      ConvertFilters(*filters, output_type_, task_);
    }
    Shots();
    return std::move(task_);
  }

  std::string NoEffect() const {
    std::string keys;
    for (const ConfigEntry& entry : file_.entries) {
      if (IsOneOf(entry.key, kNoEffect)) keys += (keys.empty() ? "" : ", ") + entry.key;
    }
    return keys;
  }

 private:
  void CheckKeys() {
    for (const ConfigEntry& entry : file_.entries) {
      if (const ConfigNode* function = Function(entry.value)) {
        RefuseHarness(*function, entry.key,
                      function->tag + " " + function->text +
                          ": Python code cannot be run here; write it as a template, or change the "
                          "data file");
      }
      for (const Refusal& refusal : kRefused) {
        if (refusal.key == entry.key) {
          RefuseHarness(entry.value, entry.key, std::string(refusal.why));
        }
      }
      if (!IsOneOf(entry.key, kNoEffect) && !IsOneOf(entry.key, kRead)) {
        RefuseHarness(entry.value, entry.key,
                      "not known as a key of lm-evaluation-harness 0.4.13's tasks");
      }
    }
    if (const ConfigNode* repeats = file_.Find("repeats");
        repeats != nullptr && repeats->text != "1") {
      RefuseHarness(*repeats, "repeats",
                    "several answers to one question are not asked here; only 1");
    }
    bool unsafe = false;
    const ConfigNode* code = file_.Find("unsafe_code");
    if (code != nullptr && (!ParseBool(code->text, unsafe) || unsafe)) {
      RefuseHarness(*code, "unsafe_code", "the metric runs what the model writes");
    }
  }

  void Templates() {
    const ConfigNode* text = file_.Find("doc_to_text");
    const bool rolling = output_type_ == "loglikelihood_rolling";
    if (!rolling) {
      if (text == nullptr) RefuseHarness(file_, "doc_to_text", "missing");
      ConfigNode question = HarnessText(*text, "doc_to_text");
      if (question.text.empty())
        question.text = "{{ '' }}";  // an empty line of ours means none is given
      task_.Add("doc_to_text", std::move(question));
    }
    const ConfigNode* target = file_.Find("doc_to_target");
    if (target == nullptr) RefuseHarness(file_, "doc_to_target", "missing");
    ConvertTarget(*target, task_);
    const ConfigNode* choices = file_.Find("doc_to_choice");
    if (choices != nullptr &&
        (output_type_ == "multiple_choice" || output_type_ == "generate_until")) {
      ConvertChoices(*choices, task_);
    }
  }

  std::string SplitName(const char* key) const {
    const ConfigNode* node = file_.Find(key);
    return node != nullptr ? node->text : "";
  }

  // Ours for the harness's name of a split of the data.
  std::string OurSplit(const ConfigNode& named) const {
    const std::string& name = named.text;
    if (name == SplitName("training_split") || name == "train") return "train";
    if (name == SplitName("validation_split")) return "dev";
    if (name == SplitName("test_split") || name == "test") return "test";
    if (name == "dev" || name == "validation" || name == "valid" || name == "val") return "dev";
    // Of data in parts that we have no name for; a variant says which split it means.
    return "train";
  }

  void Shots() {
    if (const ConfigNode* count = file_.Find("num_fewshot")) task_.Add("num_fewshot", *count);
    const ConfigNode* split = file_.Find("fewshot_split");
    const ConfigNode* samples = nullptr;
    std::string sampler = "default";
    if (const ConfigNode* config = file_.Find("fewshot_config")) {
      if (!config->is_map()) RefuseHarness(*config, "fewshot_config", "expected a map");
      for (const ConfigEntry& entry : config->entries) {
        if (entry.key == "sampler") {
          sampler = entry.value.text;
        } else if (entry.key == "samples") {
          samples = &entry.value;
        } else if (entry.key == "split") {
          split = &entry.value;
        } else if (!entry.value.is_null()) {
          RefuseHarness(entry.value, "fewshot_config." + entry.key,
                        "shots are rendered as questions are; this cannot be set for them alone");
        }
      }
    }
    if (sampler != "default" && sampler != "first_n") {
      RefuseHarness(file_, "fewshot_config.sampler",
                    "found '" + sampler + "', expected default or first_n");
    }
    // The harness's rule for leaving the question out of its own shots compares the names in the file.
    const std::string shots_from = split != nullptr ? split->text : "";
    const bool spare = shots_from == SplitName("test_split");
    task_.Add("fewshot_sampler", ScalarNode(sampler == "first_n" ? "first_n"
                                            : spare              ? "per_doc_spare"
                                                                 : "per_doc",
                                            true));
    std::string ours = "test";
    if (split != nullptr) {
      ours = OurSplit(*split);
    } else if (samples != nullptr) {
      ours = "samples";
      ConvertSamples(*samples, task_);
    } else if (!SplitName("training_split").empty()) {
      ours = "train";
    } else if (!SplitName("validation_split").empty()) {
      ours = "dev";
    }
    task_.Add("fewshot_split", ScalarNode(ours, true));
  }

  ConfigNode file_;
  ConfigNode task_;
  std::string output_type_ = "generate_until";
};

}  // namespace

void ExpandHarness(ConfigNode& task) {
  const ConfigNode named = *task.Find("harness");
  std::erase_if(task.entries, [](const ConfigEntry& entry) { return entry.key == "harness"; });
  if (named.is_null() || (named.is_scalar() && named.text.empty())) return;
  if (!named.is_scalar()) {
    throw Error(ErrorKind::kUsage,
                named.place.Text() + ": harness: found " + DescribeNode(named) +
                    ", expected the path of a task file of lm-evaluation-harness");
  }
  const bool absolute = named.text.starts_with('/');
  const std::string path = absolute ? named.text : named.place.Folder() + named.text;
  std::set<std::string> seen;
  Converter converter(ReadWithIncludes(path, seen));
  const ConfigNode converted = converter.Convert();
  for (const ConfigEntry& entry : converted.entries) {
    if (task.Find(entry.key) == nullptr) task.Add(entry.key, entry.value);
  }
  static std::set<std::string> told;
  const std::string without = converter.NoEffect();
  if (told.insert(path).second) {
    LogInfo(path + ": a task of lm-evaluation-harness. Documents come from `splits`" +
            (without.empty() ? "" : "; these keys say nothing here: " + without));
  }
}

}  // namespace breakeven
