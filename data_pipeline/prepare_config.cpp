// Pure.
#include "data_pipeline/prepare_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "comm/base/error.h"
#include "data_pipeline/split.h"

namespace breakeven {
namespace {

using Json = nlohmann::ordered_json;

// Writes the hashed fields of a config struct as JSON.
class JsonWriter : public FieldVisitor {
 public:
  JsonWriter() { stack_.push_back({Json::object(), true}); }
  const Json& root() const { return stack_.front().value; }

 protected:
  void Scalar(const FieldInfo& info, bool& value) override { Put(info, value); }
  void Scalar(const FieldInfo& info, int64_t& value) override { Put(info, value); }
  void Scalar(const FieldInfo& info, double& value) override { Put(info, value); }
  void Scalar(const FieldInfo& info, std::string& value) override { Put(info, value); }

  bool BeginStruct(const FieldInfo& info) override { return Begin(info, Json::object()); }
  void EndStruct(const FieldInfo& info) override { End(info); }
  bool HasValue(const FieldInfo& info, bool has_value) override {
    if (!has_value) Put(info, nullptr);
    return has_value;
  }
  std::optional<size_t> BeginList(const FieldInfo& info, size_t size, bool /*scalars*/) override {
    if (!Begin(info, Json::array())) return std::nullopt;
    return size;
  }
  void EndList(const FieldInfo& info) override { End(info); }
  std::optional<std::vector<std::string>> BeginMap(const FieldInfo& info,
                                                   const std::vector<std::string>& keys) override {
    if (!Begin(info, Json::object())) return std::nullopt;
    return keys;
  }
  void EndMap(const FieldInfo& info) override { End(info); }

 private:
  struct Level {
    Json value;
    bool is_object;
  };
  template <typename T>
  void Put(const FieldInfo& info, T&& value) {
    if (!info.hashed) return;
    Level& level = stack_.back();
    if (level.is_object) {
      level.value[std::string(info.name)] = std::forward<T>(value);
    } else {
      level.value.push_back(std::forward<T>(value));
    }
  }
  bool Begin(const FieldInfo& info, Json empty) {
    if (!info.hashed) return false;
    const bool is_object = empty.is_object();
    stack_.push_back({std::move(empty), is_object});
    return true;
  }
  void End(const FieldInfo& info) {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    Put(info, std::move(value));
  }

  std::vector<Level> stack_;
};

[[noreturn]] void Fail(const std::string& key, const std::string& message) {
  throw Error(ErrorKind::kUsage, key + ": " + message);
}

}  // namespace

void PrepareConfig::VisitFields(FieldVisitor& v) {
  v.Visit({"task", "the task whose documents become examples", Required()}, task);
  v.Visit({"prompt", "how a training example is asked; its end_of_target ends the answer"}, prompt);
  v.Visit({"tokenizer", "model folder with tokenizer.json", Required(), false}, tokenizer);
  v.Visit({"output", "folder for train.h5, dev.h5 and test.h5", Required(), false}, output);
  v.Visit({"splits", "splits to write; empty = all of the task's", OneOf({"train", "dev", "test"}),
           false},
          splits);
  v.Visit({"max_tokens", "upper bound of an example's tokens", AtLeast(2)}, max_tokens);
  v.Visit(
      {"too_long",
       "longer examples: drop them, cut the prompt's start off, or stop with an error; an example "
       "whose answer would be cut is always dropped",
       OneOf({"drop", "truncate_prompt_left", "error"})},
      too_long);
  v.Visit({"train_on_prompt", "every token carries loss, not the answer's only"}, train_on_prompt);
  v.Visit({"target_begin",
           "marker in front of text that carries loss, for examples with several such parts"},
          target_begin);
  v.Visit({"target_end", "marker behind it"}, target_end);
  v.Visit({"max_tokens_per_file", "larger splits become several files and an index; 0 = one file",
           AtLeast(0), false},
          max_tokens_per_file);
  v.Visit({"overlap", "near duplicates between splits", {}, false}, overlap);
  v.Visit({"threads", "0 = all CPUs of the process; never changes the output", AtLeast(0), false},
          threads);
}

void PrepareConfig::Validate() const {
  task.Validate();
  prompt.Validate();
  if (tokenizer.empty()) Fail("tokenizer", "empty; expected a folder with tokenizer.json");
  if (output.empty()) Fail("output", "empty; expected a folder");
  const std::vector<std::string> names = SplitNames(task);
  for (const std::string& split : splits) {
    if (std::find(names.begin(), names.end(), split) == names.end()) {
      Fail("splits", "'" + split + "' is no split of task '" + task.name + "'");
    }
  }
  if (prompt.num_fewshot != 0) {
    Fail("prompt.num_fewshot", "found " + std::to_string(prompt.num_fewshot) +
                                   ", expected 0: training examples have no shots");
  }
  if (target_begin.empty() != target_end.empty()) {
    Fail(target_begin.empty() ? "target_begin" : "target_end",
         "empty, but the other marker is given; expected both or neither");
  }
  if (!target_begin.empty() && target_begin == target_end) {
    Fail("target_end", "the same as target_begin; expected two markers that differ");
  }
  if (!target_begin.empty() && train_on_prompt) {
    Fail("train_on_prompt", "true, but target_begin and target_end say which text carries loss");
  }
}

std::string CanonicalConfig(const PrepareConfig& config) {
  PrepareConfig copy = config;  // visitors may write
  JsonWriter writer;
  copy.VisitFields(writer);
  return writer.root().dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace breakeven
