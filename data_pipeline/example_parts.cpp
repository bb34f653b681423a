// Pure.
#include "data_pipeline/example_parts.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "data_pipeline/template/template.h"

namespace breakeven {
namespace {

[[noreturn]] void Fail(const std::string& key, const Document& document, const std::string& what) {
  throw Error(ErrorKind::kBadData,
              "document of line " + std::to_string(document.line) + ": " + key + ": " + what);
}

// Python's str.isdigit on what a template rendered; only what int() reads as well.
bool IsAsciiNumber(const std::string& text) {
  return !text.empty() && text.size() <= 18 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string AsText(const Value& value, const std::string& key, const Document& document) {
  if (const auto* text = value.get_if<std::string>()) return *text;
  Fail(key, document,
       "found " + std::string(value.type_name()) + " " + ToJson(value) +
           ", expected text. Convert it in the template: {{ field | string }}");
}

std::string JoinedJson(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + ToJson(text);
  return all;
}

}  // namespace

ExampleParts::ExampleParts(const TaskConfig& task, const PromptConfig& prompt_config,
                           const ChatFormat& chat_format)
    : prompt(ResolvePrompt(task, prompt_config)),
      chat(chat_format),
      where("task " + task.name + ", prompt " + prompt_config.name + ": ") {
  description = Line(prompt.description, "description");
  text = Line(prompt.doc_to_text, "doc_to_text");
  target = Line(prompt.doc_to_target, "doc_to_target");
  group = Line(task.group_key, "group_key");
  end_of_target = Line(prompt.end_of_target, "end_of_target");
  gen_prefix = Line(prompt.gen_prefix, "gen_prefix");
  for (const std::string& choice : prompt.doc_to_choice) {
    choices.emplace_back(choice, where + "doc_to_choice");
  }
  if (text.has_value()) question_fields = text->Names();
  lists_words = question_fields.count("label_words") != 0 ||
                (description.has_value() && description->Names().count("label_words") != 0);
  for (const FieldOrTemplate& choice : choices) {
    for (const std::string& name : choice.Names()) question_fields.erase(name);
  }
  // A text that is scored as it stands has none before it (the harness's rule), so neither has the
  // one that is trained on.
  if (task.output_type != "loglikelihood") delimiter = *prompt.target_delimiter;
  if (prompt.apply_chat_template) {
    if (chat.chat_template.empty()) {
      throw Error(ErrorKind::kUsage,
                  where +
                      "apply_chat_template is true but the model folder has no chat template "
                      "(neither chat_template.jinja nor chat_template in "
                      "tokenizer_config.json). Use an instruct model or set it false.");
    }
    chat_renderer.emplace(chat, prompt.fewshot_as_multiturn, where);
    // The generation prompt ends where the answer starts; a gen_prefix is text of the answer.
    if (!NeedsDelimiter(prompt.gen_prefix, "x")) delimiter.clear();
  }
  fingerprint = Fingerprint(task);
}

std::string ExampleParts::Fingerprint(const TaskConfig& task) const {
  Hasher hasher;
  for (const std::string* piece :
       {&task.output_type, &prompt.description, &prompt.doc_to_text, &prompt.doc_to_target,
        &delimiter, &*prompt.fewshot_delimiter, &prompt.system, &prompt.end_of_target}) {
    hasher.UpdateField(*piece);
  }
  const auto add_list = [&](const std::vector<std::string>& texts) {
    hasher.UpdateField(std::to_string(texts.size()));
    for (const std::string& item : texts) hasher.UpdateField(item);
  };
  add_list(prompt.doc_to_choice);
  if (chat_renderer.has_value()) {
    hasher.UpdateField(prompt.fewshot_as_multiturn ? "multiturn" : "single turn");
    hasher.UpdateField(chat.chat_template);
  }
  // What came later is hashed only where it is used, so that older prompts keep their fingerprint.
  if (!prompt.gen_prefix.empty()) hasher.UpdateField("gen_prefix " + prompt.gen_prefix);
  if (!prompt.label_words.empty()) hasher.UpdateField("label_words");
  for (const auto& [choice, word] : prompt.label_words) add_list({choice, word});
  if (!prompt.label_order.empty()) {
    hasher.UpdateField("label_order");
    add_list(prompt.label_order);
  }
  if (prompt.calibration != "none") {
    hasher.UpdateField("calibration " + prompt.calibration);
    add_list(prompt.content_free);
  }
  return hasher.Hex();
}

std::vector<std::string> ExampleParts::TaskChoices(const Document& document) const {
  std::vector<std::string> texts;
  if (choices.size() == 1) {
    const std::string& key = choices[0].name();
    Value value = choices[0].Get(document);
    if (const auto* rendered = value.get_if<std::string>()) {
      value = ParsePythonLiteral(*rendered,
                                 "document of line " + std::to_string(document.line) + ": " + key);
    }
    const List* list = value.get_if<List>();
    if (list == nullptr) {
      Fail(key, document,
           "found " + std::string(value.type_name()) + " " + ToJson(value) +
               ", expected a list of choices: several lines, or one that renders to ['a', 'b']");
    }
    for (const Value& choice : *list) texts.push_back(AsText(choice, key, document));
    return texts;
  }
  for (const FieldOrTemplate& choice : choices) {
    texts.push_back(choice.Render(document.fields, document.line));
  }
  return texts;
}

std::vector<size_t> ExampleParts::Order(const Document& document,
                                        const std::vector<std::string>& task_choices) const {
  std::vector<size_t> order(task_choices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (prompt.label_order.empty()) return order;
  const auto place_of = [&](const std::string& choice) {
    return std::find(task_choices.begin(), task_choices.end(), choice) - task_choices.begin();
  };
  bool same = prompt.label_order.size() == task_choices.size();
  std::set<size_t> used;
  for (size_t i = 0; same && i < order.size(); ++i) {
    order[i] = static_cast<size_t>(place_of(prompt.label_order[i]));
    same = order[i] < order.size() && used.insert(order[i]).second;
  }
  if (!same) {
    Fail(where + "label_order", document,
         "expected each of the task's choices once, found " + JoinedJson(prompt.label_order) +
             "; the choices are " + JoinedJson(task_choices));
  }
  return order;
}

std::vector<std::string> ExampleParts::Choices(const Document& document) const {
  const std::vector<std::string> task_choices = TaskChoices(document);
  if (prompt.label_words.empty() && prompt.label_order.empty()) return task_choices;
  for (const auto& [choice, word] : prompt.label_words) {
    if (std::find(task_choices.begin(), task_choices.end(), choice) == task_choices.end()) {
      Fail(where + "label_words", document,
           ToJson(choice) + " is none of the task's choices: " + JoinedJson(task_choices));
    }
  }
  std::vector<std::string> words;
  for (const size_t place : Order(document, task_choices)) {
    const auto word = prompt.label_words.find(task_choices[place]);
    words.push_back(word == prompt.label_words.end() ? task_choices[place] : word->second);
  }
  return words;
}

Dict ExampleParts::Variables(const Document& document) const {
  Dict variables = document.fields;
  if (lists_words) {
    List words;
    for (std::string& word : Choices(document)) words.emplace_back(std::move(word));
    variables.Set("label_words", std::move(words));
  }
  return variables;
}

std::string ExampleParts::Question(const Document& document) const {
  if (!text.has_value()) return "";
  const Value value =
      lists_words ? Value(text->Render(Variables(document), document.line)) : text->Get(document);
  const auto* question = value.get_if<std::string>();
  const bool is_index = value.is<int64_t>() || (question != nullptr && IsAsciiNumber(*question));
  if (is_index && !choices.empty()) {
    Fail(text->name(), document,
         "renders to the number " + (question != nullptr ? *question : ToJson(value)) +
             ", which lm-evaluation-harness takes for the index of a context (tasks with several "
             "contexts and one continuation). That kind of task is not supported; put a word "
             "before the number if it is meant as text");
  }
  return AsText(value, text->name(), document);
}

Value ExampleParts::RawTarget(const Document& document) const {
  if (!target.has_value()) return {};
  if (const Value* field = target->Field(document)) return *field;
  const std::string rendered = target->Render(document.fields, document.line);
  if (IsAsciiNumber(rendered) && !choices.empty()) {
    return static_cast<int64_t>(std::stoll(rendered));
  }
  if (rendered.size() >= 2 && rendered.front() == '[' && rendered.back() == ']') {
    try {
      return ParsePythonLiteral(rendered, target->name());
    } catch (const Error&) {
      return rendered;  // brackets of a text, as the harness takes them
    }
  }
  return rendered;
}

List ExampleParts::RawTargets(const Document& document) const {
  Value value = RawTarget(document);
  const List* list = value.get_if<List>();
  if (list == nullptr) return List{std::move(value)};
  if (list->empty()) Fail(TargetKey(), document, "found an empty list of right answers");
  return *list;
}

int64_t ExampleParts::GoldOf(const Value& target_value, const Document& document,
                             const std::vector<std::string>& task_choices,
                             const std::vector<size_t>& order) const {
  size_t place = 0;
  if (const auto* index = target_value.get_if<int64_t>()) {
    if (*index < 0 || static_cast<size_t>(*index) >= task_choices.size()) {
      Fail(TargetKey(), document,
           "the right choice is number " + std::to_string(*index) + ", but there are " +
               std::to_string(task_choices.size()) + " choices, counted from 0");
    }
    place = static_cast<size_t>(*index);
  } else {
    const std::string answer = AsText(target_value, TargetKey(), document);
    const auto found = std::find(task_choices.begin(), task_choices.end(), answer);
    if (found == task_choices.end()) {
      Fail(TargetKey(), document,
           "the right answer " + ToJson(answer) +
               " is none of the choices: " + JoinedJson(task_choices));
    }
    place = static_cast<size_t>(found - task_choices.begin());
  }
  return std::find(order.begin(), order.end(), place) - order.begin();
}

std::string ExampleParts::AnswerText(const Value& value, const Document& document) const {
  const bool in_other_words = !prompt.label_words.empty() || !prompt.label_order.empty();
  if (!choices.empty() && (value.is<int64_t>() || in_other_words)) {
    const std::vector<std::string> task_choices = TaskChoices(document);
    const int64_t gold = GoldOf(value, document, task_choices, Order(document, task_choices));
    return Choices(document)[static_cast<size_t>(gold)];
  }
  if (choices.empty() && value.is<int64_t>()) return ToJson(value);
  if (const auto* number = value.get_if<double>()) return FloatText(*number);
  return AsText(value, TargetKey(), document);
}

}  // namespace breakeven
